"""Names of an earlier version that configs, runs and programs may still have: they go on working, and warn."""

import importlib
import sys
import warnings
from types import ModuleType
from typing import Any

# Modules that users may have named, with the place that each has now. They go with the next version.
MODULES = {
    "callbacks.batch_norm": "callbacks.estimate_batch_norm",
    "callbacks.clock": "callbacks.base",
    "callbacks.exact_resume": "callbacks.resuming.exact_resume",
    "callbacks.initialisations": "initializations",
    "callbacks.learning_rate": "callbacks.policies",
    "callbacks.policy": "callbacks.policies.base",
    "callbacks.reinitialize": "callbacks.starting_points.reinitialize",
    "callbacks.scratch_train": "callbacks.starting_points.scratch_train",
    "callbacks.tape": "callbacks.policies.tape",
    "callbacks.weight_rewind": "callbacks.starting_points.weight_rewind",
    "durations": "schedules.durations",
    "lab.progress": "lab.runs.progress",
    "lab.rate_log": "lab.runs.rate_log",
    "lab.run_folder": "lab.runs.run_folder",
    "rates": "schedules.rates",
    "scores": "criteria.scores",
    "ticket": "masks.ticket",
}


class Renamed(ModuleType):
    """A module under its former name; what is asked of it comes from where it is now, with a warning.

    Args:
        former: Its former name.
        present: Its name now.

    Example:
        >>> from lightning_prune.schedules import durations
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     former = Renamed("lightning_prune.durations", "lightning_prune.schedules.durations")
        ...     former.Duration is durations.Duration
        True
        >>> str(caught[0].message)
        'lightning_prune.durations is lightning_prune.schedules.durations now: write that; the former name goes.'
    """

    def __init__(self, former: str, present: str) -> None:
        super().__init__(former)
        self._present = present

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        said = f"{self.__name__} is {self._present} now: write that; the former name goes."
        warnings.warn(said, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(self._present), name)


def keep_former_names() -> None:
    """Let the former names of modules be imported, without importing anything before somebody asks."""
    for former, present in MODULES.items():
        name = f"lightning_prune.{former}"
        module = Renamed(name, f"lightning_prune.{present}")
        sys.modules.setdefault(name, module)
        parent, _, leaf = former.rpartition(".")
        owner = sys.modules.get(f"lightning_prune.{parent}" if parent else "lightning_prune")
        if owner is not None and leaf not in vars(owner):
            setattr(owner, leaf, module)
