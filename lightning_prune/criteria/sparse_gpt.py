"""Score weights by what their removal costs when the other weights make up for it, and change these weights."""

import torch
from torch import Tensor

from lightning_prune.criteria.declared import Keep, needs, solved_by
from lightning_prune.criteria.evidence import Evidence
from lightning_prune.selection.filter_layout import by_filter, undo_by_filter

_DAMPING = 0.01  # of the mean of the diagonal
_UNSEEN = 1e-12  # of the same, where an input is always zero: its weights cost next to nothing
_COLUMNS = 128  # that are chosen together


def solve(weight: Tensor, evidence: Evidence, living: Tensor | None, keep: Keep) -> tuple[Tensor, Tensor]:
    """Choose the weights that live, and let them make up for those that die. See :func:`sparse_gpt`.

    Args:
        weight: The weight.
        evidence: The Gram matrices of its inputs.
        living: Its mask, not zero where it lives. None where all of it lives.
        keep: How many weights to keep, or the pair ``(n, m)``.

    Returns:
        The mask and the new weight, of the shape of the weight.

    Example:
        >>> found = {"input_gram": torch.tensor([[[2.0, 1.0], [1.0, 2.0]]])}
        >>> mask, new = solve(torch.tensor([[1.0, 4.0]]), Evidence(torch.Generator(), found), None, keep=1)
        >>> mask, new.round(decimals=2)
        (tensor([[False,  True]]), tensor([[0.0000, 4.5000]]))
    """
    groups, matrix = len(evidence.input_gram), by_filter(weight.detach(), evidence.transposed)
    alive = torch.ones_like(matrix, dtype=torch.bool)
    if living is not None:
        alive = by_filter(living, evidence.transposed) != 0
    order = _neighbors(weight, matrix) if isinstance(keep, tuple) else torch.arange(matrix.shape[1])
    order = order.to(weight.device)
    gram = evidence.input_gram[:, order][:, :, order]
    rows = matrix.to(torch.promote_types(matrix.dtype, torch.float32))[:, order].view(groups, -1, matrix.shape[1])
    mask, new = _solve(rows, gram, alive[:, order].view(groups, -1, matrix.shape[1]), keep)
    back = order.argsort()
    found = [one.flatten(0, 1)[:, back] for one in (mask, new)]
    mask, new = (undo_by_filter(one, weight.shape, evidence.transposed) for one in found)
    return mask, new.to(weight.dtype)


@solved_by(solve)
@needs("input_gram", batches=8)
def sparse_gpt(weight: Tensor, evidence: Evidence) -> Tensor:
    """Keep the weights whose loss the other weights of the output cannot make up for, and let them (SparseGPT).

    Where a weight dies, the later weights of its output change so that the output stays as near as possible to what it
    was. The columns of the matrix are gone through from the first to the last. For every 128 columns together the
    weights with the lowest scores of all outputs die. The score is ``w ** 2 / U[j, j] ** 2``, where ``U`` is the upper
    Cholesky factor of the inverse of the Gram matrix of the inputs, after 1 % of the mean of its diagonal was added to
    the diagonal. With ``NofM`` the lowest scores of every few columns die. The prune changes living weights. They train
    on from there, unless a starting point sets other ones.

    The allocation only says how many weights each layer keeps, so ``per_row`` is ``layerwise``. The authors give every
    layer the same sparsity, and go through the network block by block: ``InSequence``. Here all layers are looked at
    first, in the network as it is. An input that is always zero costs nothing, so its weights die first. Transposed
    convolutions and stacked experts are refused by name. With units larger than a weight, the scores of the dense
    weights decide, and no weight is changed.

    Reference: Frantar & Alistarh, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, 2023,
    https://arxiv.org/abs/2301.00774 (128 samples of text, columns and damping of their code; 8 batches are our choice).

    Args:
        weight: The weight, of any shape.
        evidence: The Gram matrices of the inputs (8 batches, or another number with ``OnBatches``).

    Returns:
        Scores of the weight's shape, at least 0: those before any weight has died.

    Example:
        >>> found = {"input_gram": torch.tensor([[[1.0, 0.0], [0.0, 4.0]]])}
        >>> sparse_gpt(torch.tensor([[3.0, 2.0]]), Evidence(torch.Generator(), found)).round()
        tensor([[ 9., 16.]])
    """
    matrix = by_filter(weight.detach(), evidence.transposed)
    wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    rows = wide.view(len(evidence.input_gram), -1, matrix.shape[1])
    costs = _costs(rows.transpose(1, 2), _factor(evidence.input_gram)).transpose(1, 2)
    return undo_by_filter(costs.flatten(0, 1), weight.shape, evidence.transposed)


def _solve(rows: Tensor, gram: Tensor, alive: Tensor, keep: Keep) -> tuple[Tensor, Tensor]:
    """Go through the columns of matrices in groups.

    Args:
        rows: (groups, outputs, inputs).
        gram: (groups, inputs, inputs).
        alive: True where a weight lives.
        keep: See :func:`solve`.
    """
    factor, width = _factor(gram).to(rows.dtype), rows.shape[2]
    # A column is a line of these, so that its numbers lie side by side.
    new, mask = (one.transpose(1, 2).contiguous() for one in (rows * alive, alive))
    step = _COLUMNS if isinstance(keep, int) else max(_COLUMNS // keep[1], 1) * keep[1]
    shares = Shares(mask, mask.numel() - keep) if isinstance(keep, int) else None
    for start in range(0, width, step):
        end = min(start + step, width)
        block, chosen, diagonal = new[:, start:end], mask[:, start:end], factor[:, start:end, start:end]
        if shares is not None:
            _keep_best_(chosen, _costs(block, diagonal), shares.dying(start, end))
        errors = torch.empty_like(block)
        for column in range(end - start):
            if isinstance(keep, tuple) and column % keep[1] == 0:
                few = slice(column, column + keep[1])
                _keep_few_(chosen[:, few], _costs(block[:, few], diagonal[:, few, few]), keep[0])
            error = block[:, column] * ~chosen[:, column] / diagonal[:, column, column, None]
            block[:, column:] -= diagonal[:, column, column:, None] * error[:, None]
            errors[:, column] = error
        new[:, end:] -= factor[:, start:end, end:].transpose(1, 2) @ errors
    return mask.transpose(1, 2), (new * mask).transpose(1, 2)


class Shares:
    """How many weights of each range of columns die.

    Each range has a fair share, as far as there is room for the weights that are dead from the start.

    Args:
        mask: (groups, inputs, outputs), true where a weight lives.
        dead: How many weights are dead in the end.

    Example:
        >>> shares = Shares(torch.tensor([[[True], [True], [False], [True]]]), dead=2)
        >>> shares.dying(0, 2), shares.dying(2, 4)
        (1, 1)
    """

    def __init__(self, mask: Tensor, dead: int) -> None:
        self._before = (~mask).sum((0, 2)).cumsum(0).tolist()  # the weights that are dead up to each column
        self._dead, self._width, self._died = dead, mask.shape[1], 0

    def dying(self, start: int, end: int) -> int:
        """How many weights of a range are dead in the end, those included that are dead already.

        Args:
            start: The first column: the end of the range before.
            end: The column behind the last one.
        """
        already = self._before[end - 1] - (self._before[start - 1] if start else 0)
        later = self._before[-1] - self._before[end - 1]
        share = min(round(self._dead * end / self._width), self._dead - later) - self._died
        dying: int = max(share, already)
        self._died += dying
        return dying


def _factor(gram: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of each Gram matrix, in double precision.

    It is the inverse of the upper factor R of the matrix itself, R times its transpose. R is found from the other end.
    """
    gram = gram.double()
    diagonal = gram.diagonal(dim1=1, dim2=2)
    mean = diagonal.mean(1, keepdim=True)
    mean = mean.masked_fill(mean == 0, 1.0)
    added = torch.where(diagonal == 0, _UNSEEN * mean, _DAMPING * mean)
    turned = (gram + torch.diag_embed(added)).flip(1, 2)
    one = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.solve_triangular(torch.linalg.cholesky(turned), one.expand_as(turned), upper=False)
    found: Tensor = factor.flip(1, 2)
    return found


def _costs(columns: Tensor, factor: Tensor) -> Tensor:
    """The cost of removing each weight, with one line for each column."""
    diagonal = factor.diagonal(dim1=1, dim2=2)[..., None].to(columns.dtype)
    return (columns / diagonal).square()


def _keep_best_(chosen: Tensor, costs: Tensor, dying: int) -> None:
    """Let the lowest costs of all columns together die. What is dead dies first. Of equal costs the first die."""
    if not dying:
        return
    costs = costs.masked_fill(~chosen, -1.0)
    cut = costs.flatten().kthvalue(dying).values
    dead = costs < cut
    ties = (costs == cut).flatten().nonzero().squeeze(1)[: dying - int(dead.sum())]
    dead.view(-1)[ties] = True
    chosen &= ~dead


def _keep_few_(chosen: Tensor, costs: Tensor, number: int) -> None:
    """Keep some of a few columns in each row. What is dead stays dead."""
    best = costs.masked_fill(~chosen, -1.0).argsort(dim=1, descending=True, stable=True)[:, :number]
    chosen &= torch.zeros_like(chosen).scatter_(1, best, True)


def _neighbors(weight: Tensor, matrix: Tensor) -> Tensor:
    """The columns in an order in which neighbors along the inputs lie side by side."""
    kernel = weight.shape[2:].numel() if weight.dim() > 2 else 1
    return torch.arange(matrix.shape[1]).view(-1, kernel).t().flatten()
