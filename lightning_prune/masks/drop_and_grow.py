"""Move living weights: some die, and as many that were dead live again. Only dynamic sparsity does this."""

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import DEAD
from lightning_prune.masks.masks import keep_top


def drop_and_grow(mask: Tensor, staying: Tensor, growing: Tensor, count: int) -> Tensor:
    """Drop living weights, and let as many others live.

    Weights that were dropped a moment ago may be chosen again, as in the code of RigL.

    Args:
        mask: The mask, 1 where alive, of any shape.
        staying: Scores of this shape. Of the living weights, those with the lowest scores are dropped.
        growing: Scores of this shape. Of the weights that are not kept, those with the highest scores live.
        count: How many are dropped, from 0 to the number of living weights.

    Returns:
        The new mask, uint8, with as many ones as before.

    Raises:
        ValueError: If scores are NaN or infinite, or fewer weights live than are to be dropped.

    Example:
        >>> mask = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)
        >>> sizes, gradients = torch.tensor([3.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 0.1, 0.2, 0.9])
        >>> drop_and_grow(mask, sizes, gradients, count=1)
        tensor([1, 0, 0, 1], dtype=torch.uint8)
    """
    living = int(torch.count_nonzero(mask))
    if not 0 <= count <= living:
        raise UserError(f"drop_and_grow(count={count}) must be from 0 to {living}, the number of living weights.")
    if not bool(staying.isfinite().all() & growing.isfinite().all()):
        raise UserError("drop_and_grow(...) was given scores that are NaN or infinite: weights or gradients diverged.")
    kept = keep_top(_among(staying, mask == 1), living - count)
    return kept + keep_top(_among(growing, kept == 0), count)


def _among(scores: Tensor, candidates: Tensor) -> Tensor:
    """Scores that can be compared, with the others below all of them."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~candidates, DEAD)
