"""Refuse wrong arguments of :func:`prune`, and say what was probably meant."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from lightning_prune import criteria
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.fit.finite import count_not_finite
from lightning_prune.callbacks.fit.guesses import refuse_guess
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria.evidence import REMEMBERED
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.quantities import Quantity


@contextmanager
def said_of_prune() -> Iterator[None]:
    """Errors of functions that are shared with a fit name ``IterativePruning``."""
    try:
        yield
    except ValueError as error:
        if "IterativePruning" not in str(error):
            raise
        raise UserError(str(error).replace("IterativePruning", "prune")) from error


def refuse_arguments(sparsity: float, **functions: object) -> None:
    """Refuse a sparsity that is no fraction, functions that are none, and criteria that need a fit.

    Args:
        sparsity: The fraction of the prunable weights that is to be dead.
        functions: The arguments that are functions, by name. There is a ``criterion`` among them.

    Raises:
        ValueError: If one is wrong.
    """
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 <= sparsity < 1:
        final = getattr(sparsity, "final", None)
        meant = f"{final if final is not None else 0.8}"
        if isinstance(sparsity, int | float) and 1 < sparsity < 100:
            meant = f"{sparsity / 100:g}"
        raise UserError(
            f"prune(sparsity={sparsity!r}) must be a number in [0, 1), the fraction to remove: sparsity={meant}."
        )
    for name, function in functions.items():
        refuse_guess(name, function)
    criterion: Any = functions["criterion"]
    if "squared_gate_gradient" in criteria.needs_of(criterion).kinds:
        raise UserError(
            f"prune(criterion={describe(criterion)}) takes gradients of gates in a fit: prune in a Trainer, or give "
            "another criterion, such as lightning_prune.magnitude."
        )
    if earlier := [kind for kind in criteria.needs_of(criterion).kinds if kind in REMEMBERED]:
        raise UserError(
            f"prune(criterion={describe(criterion)}) looks at the weights of an earlier moment ({', '.join(earlier)}), "
            "which nobody remembers without a fit: prune in a Trainer, or give another criterion, such as "
            "lightning_prune.magnitude."
        )


def refuse_measures(granularity: Granularity, measure: Quantity) -> None:
    """Refuse measures that only a fit can take.

    Args:
        granularity: The units.
        measure: What the sparsity is a fraction of.

    Raises:
        ValueError: If it cannot be measured without a fit.
    """
    if measure == "latency" or isinstance(measure, Latency):
        raise UserError(
            f"prune(measure={measure!r}) measures nothing without a fit: give measure='flops', or "
            "IterativePruning(cycles=1, retrain='0ep') in a Trainer."
        )
    if measure == "flops" and not granularity.needs_groups:
        raise UserError(
            f"prune(measure='flops', granularity={granularity!r}) cannot count the operations of a training step "
            "without a fit: give granularity=Structures(), or prune in a Trainer."
        )


def refuse_diverged(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are NaN or infinite.

    Args:
        weights: The prunable weights by name.

    Raises:
        ValueError: If there are such weights.
    """
    for name, weight in weights.items():
        if count := count_not_finite(weight):
            raise UserError(f"prune: {count} weights of {name!r} are NaN or infinite, so their size says nothing.")


def refuse_lower_sparsity(sparsity: float, pruner: Pruner) -> None:
    """Refuse a sparsity at which dead weights would live again.

    Args:
        sparsity: The fraction of the prunable weights that is to be dead.
        pruner: The masks from which the prune goes on.

    Raises:
        ValueError: If more is dead already.
    """
    masks = pruner.masks
    if pruner.exceeds(sparsity):
        raise UserError(
            f"prune(sparsity={sparsity}) would bring weights back: {masks.sparsity:.4g} of the prunable weights are "
            "dead already, and dead weights stay dead. Give a higher sparsity, or begin with fresh weights and "
            "lightning_prune.forget_masks(module)."
        )
