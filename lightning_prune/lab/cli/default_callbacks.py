"""What every run of the command line has besides what the user gave: a list of callbacks."""

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

from lightning_prune.callbacks.base import clock_of
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.lab.runs.progress import CycleProgressBar
from lightning_prune.lab.runs.rate_log import RateLog
from lightning_prune.lab.runs.results import Predictions, Results


def default_callbacks(given: Sequence[Callback], settings: Mapping[str, Any]) -> list[Callback]:
    """Make the callbacks that every run has, less those that the user gave or switched off.

    Args:
        given: The user's own callbacks; one of the same kind takes a default's place.
        settings: The arguments of the Trainer.

    Returns:
        What makes a resumed run repeat an uninterrupted one; and those missing of a progress bar with the cycle in
        it, a LearningRateMonitor, a checkpoint after every epoch, and what writes rates, results and predictions.
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
        callbacks.append(ModelCheckpoint(filename="last", enable_version_counter=False))  # after every epoch, anew
    return callbacks


def refuse_endless_dense_run(given: Sequence[Callback], settings: Mapping[str, Any]) -> None:
    """Refuse a fit of nothing but the defaults: 1,000 dense epochs. Where the user gave a length, say what it trains.

    Args:
        given: The user's own callbacks.
        settings: The arguments of the Trainer.

    Raises:
        ValueError: If nothing is pruned, and nobody said how long to train.
    """
    if clock_of(given) is not None:
        return
    lengths = (settings["max_epochs"], settings["max_time"], settings["fast_dev_run"] or None)
    if settings["max_steps"] == -1 and lengths == (None, None, None):
        raise ValueError(
            "nothing would be pruned, and 1,000 dense epochs trained: trainer.callbacks has no IterativePruning, and "
            "trainer.max_epochs is missing. Give a config (--config=...), or add --trainer.max_epochs=20 "
            "--trainer.callbacks+=IterativePruning --trainer.callbacks.cycles=10 --trainer.callbacks.retrain=5ep. "
            "For a dense run alone, add --trainer.max_epochs=20."
        )
    rank_zero_info("Nothing is pruned: trainer.callbacks has no IterativePruning. This trains the dense network.")


def _has(callbacks: Sequence[Callback], kind: type[Callback]) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)
