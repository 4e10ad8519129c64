"""Pause the user's own learning-rate schedulers after the dense run, without replacing the objects.

A fit without a scheduler, or with another in its place, resumes silently wrong:
Lightning matches schedulers with their saved states by position and fills
whatever object is there. Here the object stays, with its state and its type.
Only its ``step`` does nothing until the scheduler is woken.
"""

from functools import cache
from typing import Any

import lightning.pytorch as pl


class _Asleep:
    """A mix-in before a scheduler's class, for a scheduler that does not step."""

    def step(self, *_: Any, **__: Any) -> None:
        """Do nothing."""


@cache
def _asleep(awake: type) -> type:
    name = awake.__name__
    # A local name: the parser of the command line lists subclasses by their paths, and this one is nobody's to choose.
    names = {"__module__": awake.__module__, "__qualname__": f"_asleep.<locals>.{name}", "__doc__": awake.__doc__}
    return type(name, (_Asleep, awake), names)


def put_to_sleep(trainer: "pl.Trainer") -> None:
    """Pause the learning-rate schedulers of a fit."""
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        if not isinstance(scheduler, _Asleep):
            scheduler.__class__ = _asleep(type(scheduler))  # type: ignore[arg-type]


def wake(trainer: "pl.Trainer") -> None:
    """Undo :func:`put_to_sleep`."""
    for config in trainer.lr_scheduler_configs:
        scheduler = config.scheduler
        if isinstance(scheduler, _Asleep):
            scheduler.__class__ = type(scheduler).__mro__[2]
