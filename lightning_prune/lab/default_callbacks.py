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

from lightning_prune.callbacks.exact_resume import ExactResume
from lightning_prune.lab.progress import CycleProgressBar
from lightning_prune.lab.rate_log import RateLog
from lightning_prune.lab.results import Predictions, Results


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


def _has(callbacks: Sequence[Callback], kind: type[Callback]) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)
