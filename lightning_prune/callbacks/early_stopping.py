"""What early stopping stops: the dense run or the cycle that is under way, not the whole fit."""

from functools import cache
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lightning_prune.callbacks.clock import find_clock


class _ByPhase:
    """Put before ``EarlyStopping``: what would end the fit ends the phase."""

    def _run_early_stopping_check(self: Any, trainer: "pl.Trainer") -> None:
        stopping = trainer.should_stop
        super()._run_early_stopping_check(trainer)  # type: ignore[misc]
        if trainer.should_stop and not stopping:
            trainer.should_stop = _may_stop(trainer) and find_clock(trainer, self).end_phase(trainer)


def _may_stop(trainer: "pl.Trainer") -> bool:
    """Whether the least that the user asked for will be trained by the end of the current epoch."""
    epochs, steps = trainer.min_epochs or 0, trainer.min_steps or 0
    return trainer.current_epoch + 1 >= epochs and trainer.global_step >= steps


@cache
def _by_phase(plain: type) -> type:
    # The same names: Lightning finds a callback's saved state by them.
    names = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    return type(plain.__name__, (_ByPhase, plain), names)


def stop_phases(trainer: "pl.Trainer") -> None:
    """Let every ``EarlyStopping`` of a fit end phases; its object, type and state stay what they are."""
    for callback in _early_stoppings(trainer):
        if not isinstance(callback, _ByPhase):
            callback.__class__ = _by_phase(type(callback))  # type: ignore[arg-type]


def stop_runs(trainer: "pl.Trainer") -> None:
    """Undo :func:`stop_phases`."""
    for callback in _early_stoppings(trainer):
        if isinstance(callback, _ByPhase):
            callback.__class__ = type(callback).__mro__[2]


def start_afresh(trainer: "pl.Trainer") -> None:
    """Forget the best value and the patience spent: a sparser network is another one."""
    for callback in _early_stoppings(trainer):
        if isinstance(callback, _ByPhase):
            callback.wait_count = 0
            callback.stopped_epoch = 0
            worst = torch.tensor(torch.inf)
            callback.best_score = worst if callback.monitor_op == torch.lt else -worst


def _early_stoppings(trainer: "pl.Trainer") -> list[EarlyStopping]:
    return [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
