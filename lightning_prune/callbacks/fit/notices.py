"""Tell the user at the start of a fit about settings that have no effect."""

import logging

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import nn

from lightning_prune.masks.masks import pruned_of
from lightning_prune.masks.tally import Tally
from lightning_prune.schedules.sparsity import OneShot, SparsitySchedule
from lightning_prune.selection.coverage import told_of
from lightning_prune.selection.prunable import FROZEN, Selected

_log = logging.getLogger(__name__)


def say_what_does_nothing(module: nn.Module, selected: Selected, cycles: int, sparsity: SparsitySchedule) -> None:
    """Say what stays dense, and which cycles remove nothing.

    Args:
        module: The network.
        selected: What is pruned, and what is not.
        cycles: How many cycles there are.
        sparsity: The schedule.
    """
    say_what_stays_dense(module, selected)
    say_where_nothing_dies(cycles, sparsity)


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


def say_cycle(trainer: "pl.Trainer", cycle: int, cycles: int, tally: Tally) -> None:
    """Say which cycle begins, and how much is pruned. A progress bar that shows the cycle says it in its own way.

    Args:
        trainer: The trainer.
        cycle: The number of the cycle.
        cycles: How many there are.
        tally: What lives in it.
    """
    if not getattr(trainer.progress_bar_callback, "shows_cycle", False):
        rank_zero_info(f"cycle {cycle} of {cycles}: {pruned_of(tally.alive, tally.size)}")


def say_where_nothing_dies(cycles: int, sparsity: SparsitySchedule) -> None:
    """Warn of cycles that only retrain, because the schedule is at its end before them.

    Args:
        cycles: How many cycles there are.
        sparsity: The schedule.

    Example:
        >>> from lightning_prune.schedules.sparsity import Levels
        >>> say_where_nothing_dies(2, Levels([0.5, 0.5]))
    """
    reached = 1 if isinstance(sparsity, OneShot) else getattr(sparsity, "cycles", cycles)
    if cycles > reached:
        which = f"cycle {cycles}" if cycles == reached + 1 else f"cycles {reached + 1} to {cycles}"
        rank_zero_warn(
            f"IterativePruning(cycles={cycles}, sparsity={sparsity!r}) removes nothing in {which}: the last sparsity "
            f"is reached in cycle {reached}, and what follows only retrains. Give cycles={reached}, or a schedule with "
            "more steps."
        )
