"""Make the callbacks that every run of the command line has besides the user's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
)
from lightning.pytorch.utilities import rank_zero_info

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import clock_of
from lightning_prune.callbacks.dynamic.dynamic_sparsity import DynamicSparsity
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.lab.runs.progress import CycleProgressBar
from lightning_prune.lab.runs.rate_log import RateLog
from lightning_prune.lab.runs.results import Predictions, Results


def default_callbacks(given: Sequence[Callback], settings: Mapping[str, Any]) -> list[Callback]:
    """Make the callbacks that every run has, without those that the user gave or switched off.

    Args:
        given: The user's own callbacks. A callback of the same kind replaces a default.
        settings: The arguments of the Trainer.

    Returns:
        The callbacks that make a resumed run repeat an uninterrupted one. Then, as far as they are missing, a progress
        bar that shows the cycle, a LearningRateMonitor, a checkpoint after every epoch, and the writers of rates,
        results and predictions.
    """
    callbacks: list[Callback] = [ExactResume()]
    bare = settings["barebones"]
    if not (bare or settings["logger"] is False):
        callbacks += [RateLog(), Results()]
    if not (_has(given, BasePredictionWriter) or bare):
        callbacks.append(Predictions())
    if not (_has(given, ProgressBar) or bare or settings["enable_progress_bar"] is False):
        callbacks.append(CycleProgressBar())
    if not (_has(given, LearningRateMonitor) or bare or settings["logger"] is False):
        callbacks.append(LearningRateMonitor(logging_interval="step"))
    if not (_has(given, ModelCheckpoint) or bare or settings["enable_checkpointing"] is False):
        callbacks.append(ModelCheckpoint(filename="last", enable_version_counter=False))  # After every epoch.
    return callbacks


def refuse_endless_dense_run(given: Sequence[Callback], settings: Mapping[str, Any]) -> None:
    """Refuse a fit with only the defaults, which would train 1,000 dense epochs. With a length, say what it trains.

    Args:
        given: The user's own callbacks.
        settings: The arguments of the Trainer.

    Raises:
        ValueError: If nothing is pruned, and no length is given.
    """
    if clock_of(given) is not None:
        return
    lengths = (settings["max_epochs"], settings["max_time"], settings["fast_dev_run"] or None)
    if settings["max_steps"] == -1 and lengths == (None, None, None):
        raise UserError(
            "nothing would be pruned, and 1,000 dense epochs trained: there is no `pruning`, and trainer.max_epochs is "
            "missing. Give a config (--config=...), or add --trainer.max_epochs=20 --pruning.cycles=10 "
            "--pruning.retrain=5ep. For a dense run alone, add --trainer.max_epochs=20."
        )
    if not _has(given, DynamicSparsity):
        rank_zero_info("Nothing is pruned: there is no `pruning`. This trains the dense network.")


def _has(callbacks: Sequence[Callback], kind: type[Callback]) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)
