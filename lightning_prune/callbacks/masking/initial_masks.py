"""Find the weights that are dead from the start: the zeros of a sparse network, or the dead weights of a ticket."""

from collections.abc import Mapping
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.packing import pack_bits
from lightning_prune.masks.ticket import load_ticket
from lightning_prune.selection.sharding import whole


def initial_masks(given: str | Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read what ``IterativePruning(initial_masks=...)`` was given.

    Args:
        given: ``"zeros"``, or the path of a ticket.
        weights: The prunable weights by name.

    Returns:
        Packed masks of the tensors that are not all alive.

    Raises:
        ValueError: If a ticket is of another network.

    Example:
        >>> initial_masks("zeros", {"a": torch.tensor([0.0, 2.0]), "b": torch.ones(3)})
        {'a': tensor([2], dtype=torch.uint8)}
    """
    masks = _of_zeros(weights) if given == "zeros" else _of_ticket(Path(given), weights)
    return {name: pack_bits(mask.to(torch.uint8)) for name, mask in masks.items() if not bool(mask.all())}


def refuse_missing(given: str | Path | None) -> None:
    """Refuse the path of a ticket if there is no file. Called before the data is loaded.

    Args:
        given: The value of the argument ``initial_masks``.

    Raises:
        ValueError: If it is a path without a file.
    """
    if given is not None and given != "zeros" and not Path(given).is_file():
        raise UserError(
            f"IterativePruning(initial_masks={str(given)!r}) is not a file. Give the path of a ticket, which "
            "IterativePruning.save_ticket or lightning_prune.save_ticket writes, or 'zeros' for the weights that are "
            "zero already."
        )


def refuse_regrowth(given: str | Path, sparsity: float, wanted: float) -> None:
    """Refuse a schedule that asks for more weights than are alive from the start.

    Args:
        given: What ``initial_masks`` was given, for the error.
        sparsity: The sparsity from the start.
        wanted: The sparsity of cycle 1, which is lower.

    Raises:
        ValueError: Always.
    """
    raise UserError(
        f"IterativePruning(sparsity=...) asks for sparsity {wanted:.4g} in cycle 1, but with "
        f"initial_masks={str(given)!r} {sparsity:.4g} of the weights are dead from the start, and dead weights "
        f"never come back. Give a schedule that begins there: Geometric(fraction=0.2, initial={sparsity:.4g})."
    )


def _of_zeros(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    masks = {name: (whole(weight.detach()) != 0) for name, weight in weights.items()}
    if all(bool(mask.all()) for mask in masks.values()):
        rank_zero_warn(
            "IterativePruning(initial_masks='zeros') finds no zeros in the prunable weights: all of them start alive. "
            "Was the sparse network loaded before the fit?"
        )
    return masks


def _of_ticket(path: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    masks = dict(load_ticket(path).masks)
    wrong = [name for name, mask in masks.items() if name not in weights or weights[name].shape != mask.shape]
    if wrong:
        raise UserError(
            f"IterativePruning(initial_masks='{path}') has masks for {', '.join(wrong)}, which is not prunable here, "
            "or has another shape. Give the ticket of this network, and the same prunable=... as it was made with."
        )
    return masks
