"""Where the granularity fixes the sparsity: take its sparsities, and refuse arguments that say something else."""

from lightning_prune.allocation import Allocation, globally
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.granularity.base import Granularity
from lightning_prune.schedules.sparsity import Geometric, SparsitySchedule


def levels_of(granularity: Granularity, sparsity: SparsitySchedule, cycles: int) -> SparsitySchedule:
    """Find the sparsity of each cycle.

    Args:
        granularity: The units in which weights live and die.
        sparsity: The schedule that was given. ``Geometric(0.2)`` is the default and stands for none.
        cycles: How many cycles there are.

    Returns:
        The schedule of the granularity where it has one, or else the one that was given.

    Raises:
        ValueError: If the two differ in a cycle.

    Example:
        >>> from lightning_prune import NofM, OneShot, Weights
        >>> levels_of(NofM(2, 4), OneShot(0.5), 1), levels_of(Weights(), OneShot(0.8), 1)
        (Levels(levels=[0.5]), OneShot(final=0.8))
    """
    fixed = granularity.sparsities
    if fixed is None:
        return sparsity
    for cycle in range(1, cycles + 1) if sparsity != Geometric(fraction=0.2) else ():
        if abs(fixed(cycle) - sparsity(cycle)) > 1e-9:
            raise UserError(
                f"IterativePruning(sparsity={sparsity!r}, granularity={granularity!r}) asks for sparsity "
                f"{sparsity(cycle):.4g} in cycle {cycle}, and the granularity fixes it at {fixed(cycle):.4g}. Leave "
                "sparsity out, or give granularity=Weights()."
            )
    return fixed


def refuse_choices(granularity: Granularity, measure: object, allocation: Allocation) -> None:
    """Refuse arguments that choose what the granularity fixes.

    Args:
        granularity: The units in which weights live and die.
        measure: What a sparsity is a fraction of.
        allocation: How many units each tensor keeps. ``globally`` is the default and stands for none.

    Raises:
        ValueError: If one of them is not the default, and the granularity fixes the sparsity of every tensor.
    """
    if granularity.sparsities is None:
        return
    for name, given, default in (("measure", measure, "weights"), ("allocation", allocation, globally)):
        if given is not default and given != default:
            raise UserError(
                f"IterativePruning({name}={describe(given)}, granularity={granularity!r}): the granularity fixes how "
                f"many weights each tensor keeps. Leave {name} out, or give granularity=Weights()."
            )
