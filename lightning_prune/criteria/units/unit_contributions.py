"""Score units by how well the layers that read them could do without them."""

import warnings

import torch
from torch import Tensor

from lightning_prune.basics.extras import needs_extra
from lightning_prune.criteria.declared import needs, of_units
from lightning_prune.criteria.evidence import Evidence

_TINY = 1e-10  # of a square, as which nothing is left


@of_units
@needs("contribution_gram", batches=8)
def reconstruction_error(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels without which the next layer's outputs would change most: ThiNet's greedy selection.

    The unit dies first whose contribution to the outputs of the layers that read it is smallest. Then that unit dies
    whose contribution is smallest together with the contributions of the dead units, and so on. The size of
    contributions is the sum of their squares over samples of outputs. The score is the place in this order, so it
    compares the units of one group only: use ``per_group``, ``layerwise`` or ``Widths``. It needs ``Structures()``.

    From each layer and batch we draw 1,024 outputs at random: a sample, a position and an output channel. The authors
    draw 10 of each image, from 10 images of each class. They also rescale the channels that live by least squares. This
    criterion changes no weight.

    Reference: Luo, Wu & Lin, ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression, 2017,
    https://arxiv.org/abs/1707.06342 (8 batches are our choice).

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The Gram matrix of the contributions (8 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, the numbers from 0 on.

    Example:
        >>> found = {"contribution_gram": torch.tensor([[9.0, 0.0, -9.0], [0.0, 1.0, 0.0], [-9.0, 0.0, 10.0]])}
        >>> reconstruction_error(torch.zeros(3, 9), Evidence(torch.Generator(), found))
        tensor([1., 0., 2.])
    """
    gram = evidence.contribution_gram.double()
    alone, together = gram.diagonal().clone(), torch.zeros_like(gram[0])
    scores = torch.zeros(len(gram), device=gram.device)
    for place in range(len(gram)):
        first = int((alone + 2 * together).argmin())
        scores[first] = place
        together += gram[first]
        alone[first] = torch.inf
    return scores


@of_units
@needs("contribution_gram", batches=8)
def reconstruction_error_forward(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels from which the next layer's outputs can be fitted best: ThiNet's forward selection.

    It begins with no unit, and adds the unit with which least squares on the contributions of the chosen units leave
    the smallest error, each time with new coefficients. The score is the place in the reversed order. Else it is as
    :func:`reconstruction_error`.

    Reference: Luo et al., ThiNet: Pruning CNN Filters for a Thinner Net, 2018,
    https://doi.org/10.1109/TPAMI.2018.2858232 (the journal version; as read in notes on it, not in its code).

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The Gram matrix of the contributions (8 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, the numbers from 0 on.

    Example:
        >>> found = {"contribution_gram": torch.tensor([[4.0, 0.0, 4.0], [0.0, 1.0, 0.0], [4.0, 0.0, 4.0]])}
        >>> reconstruction_error_forward(torch.zeros(3, 9), Evidence(torch.Generator(), found))
        tensor([2., 1., 0.])
    """
    rest = evidence.contribution_gram.double()
    target, whole = rest.sum(1), rest.diagonal().clone()
    waiting = torch.ones_like(whole, dtype=torch.bool)
    scores = torch.zeros(len(rest), device=rest.device)
    for place in range(len(rest)):
        left = rest.diagonal()
        gain = torch.where(left > _TINY * whole, target.square() / left, torch.zeros_like(left))
        best = int(gain.masked_fill(~waiting, -1.0).argmax())
        scores[best] = len(rest) - 1 - place
        waiting[best] = False
        if float(gain[best]) > 0:  # take away from all units what the chosen one explains
            column = rest[best] / left[best].sqrt()
            target = target - column * (target[best] / left[best].sqrt())
            rest = rest - column[:, None] * column
    return scores


@of_units
@needs("contribution_gram", batches=8)
def lasso_channels(units: Tensor, evidence: Evidence) -> Tensor:
    """Keep the channels to which a lasso gives a factor first, when its penalty falls (channel pruning by regression).

    The lasso fits the outputs of the layers that read the units by the contributions of the units, each times a factor.
    The score is the highest penalty at which the factor of a unit is not zero, on the whole path of solutions. The
    authors look for one penalty that leaves as many factors as they want. That keeps the same units, unless a factor
    becomes zero again on the way. They then fit the weights of the next layer by least squares. This criterion changes
    no weight. See :func:`reconstruction_error` for the samples and the allocation. It needs scikit-learn, of
    ``lightning-prune[cli]``.

    Reference: He, Zhang & Sun, Channel Pruning for Accelerating Very Deep Neural Networks, 2017,
    https://arxiv.org/abs/1707.06168 (8 batches are our choice).

    Args:
        units: One row for each unit. Only their number counts.
        evidence: The Gram matrix of the contributions (8 batches, or another number with ``OnBatches``).

    Returns:
        One score for each unit, at least 0.

    Example:
        >>> found = {"contribution_gram": torch.tensor([[4.0, 0.0], [0.0, 1.0]])}
        >>> lasso_channels(torch.zeros(2, 9), Evidence(torch.Generator(), found))
        tensor([4., 1.])
    """
    with needs_extra("lightning_prune.criteria.lasso_channels", "cli"):
        from sklearn.linear_model import lars_path_gram

    gram = evidence.contribution_gram.detach().double().cpu()
    some = (gram.diagonal() > 0).nonzero().squeeze(1)
    scores = torch.zeros(len(gram))
    if len(some):
        inner = gram[some][:, some].numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units that do the same: the second one scores 0
            penalties, _, factors = lars_path_gram(inner.sum(1), inner, n_samples=1, method="lasso")
        alive = torch.from_numpy(factors[:, 1:] != 0)
        first = alive.int().argmax(1)
        found = torch.from_numpy(penalties).float()[first]
        scores[some] = torch.where(alive.any(1), found, torch.zeros_like(found))
    return scores.to(evidence.contribution_gram.device)
