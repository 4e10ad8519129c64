"""Score whole filters: all weights of one filter get the same score."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.declared import Criterion, Scorer, needs_of
from lightning_prune.criteria.evidence import Evidence, Needs
from lightning_prune.criteria.scores import as_floating
from lightning_prune.selection.filter_layout import by_filter, for_every_weight


@dataclass(frozen=True, repr=False)
class Filters(Scorer):
    """Score every filter of a convolution, or row of a linear layer, by the mean of another criterion over the filter.

    Use ``IterativePruning(granularity=lightning_prune.Filters())`` instead, with the inner criterion: this criterion
    goes with a later version. Its runs stay as they are until then.

    A filter is the set of weights that makes one output channel, also in a transposed convolution. With ``magnitude``
    the score is the filter's L1 norm divided by the filter's size. Use this criterion with ``WholeFilters``, which
    gives counts that are multiples of a filter's size. Filters are then kept or removed whole. Only weights are pruned:
    the bias and the BatchNorm of a dead filter keep their effect, and the network keeps its shape.

    With ``taylor`` the score is the sum of the squares ``(g w)^2`` over the filter, divided by the filter's size. This
    is method 0 of the code of Molchanov et al. (2019, https://arxiv.org/abs/1906.10771). Their gates behind BatchNorm
    have another score, the square of the loss's derivative by the gate.

    Reference: Li et al., Pruning Filters for Efficient ConvNets, 2017, https://arxiv.org/abs/1608.08710 (L1 norm), and
    Roy et al., Pruning Filters while Training for Efficiently Optimizing Deep Learning Networks, 2020,
    https://arxiv.org/abs/2003.02800 (L1 norm and random, while the network trains).

    Args:
        criterion: The criterion that scores every weight.

    Raises:
        ValueError: If ``criterion`` is not callable.

    Example:
        >>> import torch
        >>> from lightning_prune.criteria import magnitude
        >>> filters = torch.tensor([[[1.0, -3.0]], [[0.0, 2.0]]])
        >>> Filters(criterion=magnitude)(filters, Evidence(torch.Generator())).flatten().tolist()
        [2.0, 2.0, 1.0, 1.0]
    """

    criterion: Criterion

    def __post_init__(self) -> None:
        if not callable(self.criterion):
            raise UserError(
                f"Filters(criterion={self.criterion!r}) is not callable: give lightning_prune.magnitude, not a name."
            )
        warn_of_filters("lightning_prune.criteria.Filters(criterion)", "criterion=criterion")

    def __call__(self, weight: Tensor, evidence: Evidence) -> Tensor:
        score = as_floating("a weight", self.criterion(weight, evidence), str(self))
        if score.ndim < 2:
            return score
        transposed = evidence.transposed if evidence else 0
        of_filter = by_filter(score, transposed).mean(1)
        if transposed:  # ties go to the lowest index, where a filter of another layer is in one piece
            of_filter = _apart(of_filter)
        return for_every_weight(of_filter, score.shape, transposed)

    @property
    def needs(self) -> Needs:
        """The needs of the inner criterion."""
        return needs_of(self.criterion)


def warn_of_filters(former: str, argument: str) -> None:
    """Say that a granularity has taken the place of the criterion and the allocation for whole filters.

    Args:
        former: What was written.
        argument: What is written beside the granularity.
    """
    said = f"{former} is IterativePruning(granularity=lightning_prune.Filters(), {argument}) now: write that."
    warnings.warn(said, DeprecationWarning, stacklevel=4)


def _apart(scores: Tensor) -> Tensor:
    """Raise each of several equal scores just above the next one, so that the first is the highest."""
    values, order = (scores if scores.element_size() > 2 else scores.float()).sort(stable=True, descending=True)
    if bool((values[1:] < values[:-1]).all()):
        return scores
    above = torch.full((), float("inf"), dtype=values.dtype, device=values.device)
    for place in range(len(values) - 2, -1, -1):
        if values[place] <= values[place + 1]:
            values[place] = torch.nextafter(values[place + 1], above)
    return torch.empty_like(values).scatter_(0, order, values)
