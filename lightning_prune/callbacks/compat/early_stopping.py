"""Let early stopping end the dense run or the running cycle, not the whole fit.

If validation runs within epochs, Lightning ends the epoch at once, and the fit with it. Here the epoch also ends at
once, and the next epoch is the first of the next cycle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lightning_prune.callbacks.base import find_clock
from lightning_prune.callbacks.compat.namespaces import everywhere

_CHECK = "_run_early_stopping_check"


@dataclass
class Stops:
    """The decisions of early stopping, saved with every checkpoint because Lightning does not save them.

    Attributes:
        phases: Whether a stop ends the dense run or the running cycle. Otherwise it ends the fit.
        decided: Whether a stop was decided whose epoch has yet to end, or whose ``min_epochs`` are not trained yet.
        ended: Whether a stop has ended the fit.
    """

    phases: bool
    decided: bool = False
    ended: bool = False

    def is_due(self, trainer: "pl.Trainer", after: bool) -> bool:
        """Whether a stop was decided, and the least that the user asked for is trained.

        Args:
            trainer: The trainer.
            after: Whether it is after the dense run, which the least is of.
        """
        return self.decided and (after or trainer.fit_loop._can_stop_early)

    def state_dict(self) -> dict[str, bool]:
        """Plain types."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, bool]) -> None:
        """Load a :meth:`state_dict`. A stop that ended the fit is ignored if stops now end phases."""
        self.decided = state["decided"]
        self.ended = state["ended"] and not self.phases


def note_stops(trainer: "pl.Trainer") -> None:
    """Let every ``EarlyStopping`` of a fit ask the clock. Its object, type and state stay the same.

    The check is wrapped on the object. A subclass with the same name would stay known to the process after the fit, and
    a config that says ``EarlyStopping`` would then name two classes.
    """
    for callback in _early_stoppings(trainer):
        vars(callback).setdefault(_CHECK, partial(_check, callback))


def leave_stops(trainer: "pl.Trainer") -> None:
    """Undo :func:`note_stops`."""
    for callback in _early_stoppings(trainer):
        vars(callback).pop(_CHECK, None)


def _check(callback: EarlyStopping, trainer: "pl.Trainer") -> None:
    """Check as the class does. What would end the fit is for the clock to decide."""
    stopping = trainer.should_stop
    getattr(type(callback), _CHECK)(callback, trainer)
    if trainer.should_stop and not stopping:
        find_clock(trainer, callback).note_stop(trainer)


def start_afresh(trainer: "pl.Trainer") -> None:
    """Forget the best value and the patience spent: a sparser network is another one."""
    for callback in _early_stoppings(trainer):
        callback.wait_count = 0
        callback.stopped_epoch = 0
        worst = torch.tensor(torch.inf)
        callback.best_score = worst if callback.monitor_op == torch.lt else -worst


def has_stopped(trainer: "pl.Trainer") -> bool:
    """Whether early stopping is about to end a fit. Another reason to stop, such as a ``Timer``, does not count.

    Args:
        trainer: The trainer.
    """
    decided = (one.stopped_epoch or one.wait_count >= one.patience for one in _early_stoppings(trainer))
    return trainer.should_stop and any(decided)


def _early_stoppings(trainer: "pl.Trainer") -> list[EarlyStopping]:
    return [callback for callback in trainer.callbacks if isinstance(callback, everywhere(EarlyStopping))]  # type: ignore[attr-defined]
