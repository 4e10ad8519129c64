"""Make one score of the scores of a unit's weights."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError

Reduce = Literal["mean", "l1", "l2", "max"]
CHOICES = ("mean", "l1", "l2", "max")
FILL = {"mean": 0.0, "l1": 0.0, "l2": 0.0, "max": float("-inf")}  # leaves the score of a unit as it is


def reduced(rows: Sequence[Tensor], sizes: Tensor, reduce: Reduce) -> Tensor:
    """Reduce the scores of a unit's weights to one.

    Args:
        rows: Matrices of scores with one row for each unit. A unit has a row in each of them.
        sizes: The number of scores of each unit. The other entries of its rows are ``FILL[reduce]``.
        reduce: ``"mean"`` of the scores, ``"l1"`` for the sum of their absolute values, ``"l2"`` for the root of the
            sum of their squares, or ``"max"`` for the highest.

    Returns:
        One score for each unit, at least in single precision. A unit without weights has the score 0.

    Example:
        >>> scores = [torch.tensor([[3.0, 4.0], [1.0, 0.0]])]
        >>> reduced(scores, torch.tensor([2, 1]), "mean"), reduced(scores, torch.tensor([2, 1]), "l2")
        (tensor([3.5000, 1.0000]), tensor([5., 1.]))
    """
    rows = [one if one.element_size() > 2 else one.float() for one in rows]  # sums of short numbers are too rough
    if reduce == "max":
        highest = torch.stack([one.amax(1) for one in rows]).amax(0)
        return highest.masked_fill(sizes == 0, 0.0)
    if reduce == "l2":
        # By the largest, so that squares neither overflow nor vanish.
        largest = torch.stack([one.abs().amax(1) for one in rows]).amax(0).clamp(min=torch.finfo(rows[0].dtype).tiny)
        return largest * torch.stack([(one / largest[:, None]).square().sum(1) for one in rows]).sum(0).sqrt()
    total = torch.stack([(one.abs() if reduce == "l1" else one).sum(1) for one in rows]).sum(0)
    return total if reduce == "l1" else total / sizes.clamp(min=1)


def check_reduce(owner: object, reduce: object) -> None:
    """Refuse what is no way to reduce.

    Args:
        owner: The granularity, for the error.
        reduce: What was given.

    Raises:
        ValueError: If it is unknown.
    """
    if reduce not in CHOICES:
        raise UserError(f"{type(owner).__name__}(reduce={reduce!r}) is unknown: give {', '.join(map(repr, CHOICES))}.")
