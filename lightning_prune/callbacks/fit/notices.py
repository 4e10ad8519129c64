"""Tell the user at the start of a fit about settings that have no effect."""

import logging

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import nn

from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.divisible import DOES_NOT_FIT
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.masks.masks import pruned_of
from lightning_prune.masks.tally import Tally
from lightning_prune.schedules.sparsity import OneShot, SparsitySchedule
from lightning_prune.selection.coverage import told_of
from lightning_prune.selection.prunable import FROZEN, Selected

_log = logging.getLogger(__name__)


def say_what_does_nothing(
    module: nn.Module, selected: Selected, cycles: int, sparsity: SparsitySchedule, granularity: Granularity = Weights()
) -> None:
    """Say what stays dense, and which cycles remove nothing.

    Args:
        module: The network.
        selected: What is pruned, and what is not.
        cycles: How many cycles there are.
        sparsity: The schedule.
        granularity: The units in which weights live and die.
    """
    say_what_stays_dense(module, selected)
    say_what_does_not_fit("IterativePruning", granularity, selected)
    fixed = granularity.sparsities is not None
    say_where_nothing_dies(cycles, sparsity, f"granularity={granularity!r}" if fixed else f"sparsity={sparsity!r}")


def say_what_does_not_fit(owner: str, granularity: Granularity, selected: Selected) -> None:
    """Say which weights stay dense because the granularity cannot divide them, with the reasons.

    Args:
        owner: Who prunes.
        granularity: The units in which weights live and die.
        selected: What is pruned, and what is not.
    """
    misfits = [one for one in selected.skipped if one.reason.startswith(DOES_NOT_FIT)]
    if misfits:
        named = [f"{one.name} ({one.reason.partition(': ')[2]})" for one in misfits]
        more = f" and {len(named) - 8} more" if len(named) > 8 else ""
        rank_zero_info(
            f"{owner}(granularity={granularity!r}) leaves {sum(one.weights for one in misfits):,} weights dense, and "
            f"its sparsity is that of the others: {', '.join(named[:8])}{more}."
        )


def say_what_stays_dense(module: nn.Module, selected: Selected) -> None:
    """Say how many weights stay dense because they are frozen, and warn where much stays dense that nobody named.

    The reason of each tensor that is left alone is logged at the level of debugging.

    Args:
        module: The network.
        selected: What is pruned, and what is not.
    """
    for one in selected.skipped:
        _log.debug("Not pruned: %s: %s", one.name, one.reason)
    frozen = [one for one in selected.skipped if one.reason == FROZEN]
    if frozen:
        count, pruned = sum(one.weights for one in frozen), sum(one.numel() for one in selected.weights.values())
        names = ", ".join(one.name for one in frozen[:3]) + (", ..." if len(frozen) > 3 else "")
        rank_zero_info(
            f"IterativePruning leaves {count:,} weights dense because they are frozen ({names}): its sparsity is that "
            f"of the {pruned:,} others. Set requires_grad=True before the fit to prune them, too."
        )
    if told := told_of(module, selected):
        rank_zero_warn(told)


def say_cycle(
    trainer: "pl.Trainer", cycle: int, cycles: int, tally: Tally, living: LivingNetwork | None = None
) -> None:
    """Say which cycle begins, and how much is pruned. A progress bar that shows the cycle says it in its own way.

    Args:
        trainer: The trainer.
        cycle: The number of the cycle.
        cycles: How many there are.
        tally: What lives in it.
        living: The units that live, whose operations are not in proportion to the weights. None for single weights.
    """
    if not getattr(trainer.progress_bar_callback, "shows_cycle", False):
        whole, left = (0, 0) if living is None else living.flops()
        operations = f", {1 - left / whole:.1%} of the operations".replace("%", " %") if whole else ""
        rank_zero_info(f"cycle {cycle} of {cycles}: {pruned_of(tally.alive, tally.size)}{operations}")


def say_where_nothing_dies(cycles: int, sparsity: SparsitySchedule, said: str) -> None:
    """Warn of cycles that only retrain, because the schedule is at its end before them.

    Args:
        cycles: How many cycles there are.
        sparsity: The schedule.
        said: The argument that gives the schedule.

    Example:
        >>> from lightning_prune.schedules.sparsity import Levels
        >>> say_where_nothing_dies(2, Levels([0.5, 0.5]), "sparsity=Levels([0.5, 0.5])")
    """
    reached = 1 if isinstance(sparsity, OneShot) else getattr(sparsity, "cycles", cycles)
    if cycles > reached:
        which = f"cycle {cycles}" if cycles == reached + 1 else f"cycles {reached + 1} to {cycles}"
        rank_zero_warn(
            f"IterativePruning(cycles={cycles}, {said}) removes nothing in {which}: the last sparsity "
            f"is reached in cycle {reached}, and what follows only retrains. Give cycles={reached}, or a schedule with "
            "more steps."
        )
