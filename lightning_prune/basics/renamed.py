"""Names of an earlier version that configs, runs and programs may still have: they go on working, and warn."""

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lightning_prune.basics.user_error import UserError

# Modules that users may have named, with the place that each has now. They go with the next version.
MODULES = {
    "allocation.layer_rates": "allocation.layer_fractions",
    "callbacks.batch_norm": "callbacks.companions.estimate_batch_norm",
    "callbacks.clock": "callbacks.base",
    "callbacks.cycle_checkpoint": "callbacks.companions.cycle_checkpoint",
    "callbacks.estimate_batch_norm": "callbacks.companions.estimate_batch_norm",
    "callbacks.exact_resume": "callbacks.resuming.exact_resume",
    "callbacks.initialisations": "callbacks.starting_points.initializations",
    "callbacks.learning_rate": "callbacks.policies",
    "callbacks.policy": "callbacks.policies.base",
    "callbacks.reinitialize": "callbacks.starting_points.reinitialize",
    "callbacks.scratch_train": "callbacks.starting_points.scratch_train",
    "callbacks.tape": "callbacks.policies.tape",
    "callbacks.train_only": "callbacks.companions.train_only",
    "callbacks.weight_rewind": "callbacks.starting_points.weight_rewind",
    "durations": "schedules.durations",
    "flops": "structures.flops",
    "initializations": "callbacks.starting_points.initializations",
    "lab.progress": "lab.runs.progress",
    "lab.rate_log": "lab.runs.rate_log",
    "lab.run_folder": "lab.runs.run_folder",
    "rates": "schedules.rates",
    "scores": "criteria.scores",
    "ticket": "masks.ticket",
}

# Public classes, with the name that each has now. They go with the next version, too.
CLASSES = {
    "LayerRates": "LayerFractions",
    "ScheduleRestart": "DenseScheduleRestart",
    "SchedulerRestart": "TorchScheduler",
}

# Arguments by class, with the name that each has now. Every class that has one says so: `former_arguments`.
ARGUMENTS = {
    "Geometric": {"rate": "fraction"},
    "LayerFractions": {"rates": "fractions"},
    "Reinitialize": {"initialise": "initialize"},
    "ScratchTrain": {"initialise": "initialize"},
}


class Renamed(ModuleType):
    """A module under its former name. Its attributes come from the present module, with a warning.

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
        return getattr(importlib.import_module(self._present), CLASSES.get(name, name))


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


def former_classes(module: str, level: int = 1) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a module that had classes under their former names.

    Args:
        module: The name of the module, which has the classes under the names of today.
        level: The number of calls from the line with a former name to the function. The warning names the line.

    Returns:
        A function from a former name to the class of today. The function warns, and knows no other name.

    Example:
        >>> import lightning_prune
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     lightning_prune.SchedulerRestart is lightning_prune.TorchScheduler
        True
        >>> str(caught[0].message)
        'lightning_prune.SchedulerRestart is lightning_prune.TorchScheduler now: write that; the former name goes.'
    """

    def look_up(name: str) -> Any:
        if name not in CLASSES or not hasattr(sys.modules[module], CLASSES[name]):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        said = f"{module}.{name} is {module}.{CLASSES[name]} now: write that; the former name goes."
        warnings.warn(said, DeprecationWarning, stacklevel=level + 1)
        return getattr(sys.modules[module], CLASSES[name])

    return look_up


def renamed_argument(owner: object, former: str, value: Any, present: Any, default: Any = None) -> Any:
    """Take an argument under its former name, if it was given under that, and warn.

    Args:
        owner: The object that has the argument.
        former: The former name of the argument.
        value: The value that was given under the former name. None if there is none.
        present: The value that was given under the present name. ``default`` if there is none.
        default: The default value of the argument under its present name.

    Returns:
        The one that was given.

    Raises:
        ValueError: If both were given.

    Example:
        >>> renamed_argument(object(), "rate", None, 0.3, default=0.2)
        0.3
    """
    if value is None:
        return present
    name = type(owner).__name__
    now = next(ARGUMENTS[one.__name__][former] for one in type(owner).__mro__ if one.__name__ in ARGUMENTS)
    if present != default:
        raise UserError(f"{name} got both {now}=... and {former}=..., its former name: give {now}=... only.")
    said = f"{name}({former}=...) is {name}({now}=...) now: write that; the former name goes."
    warnings.warn(said, DeprecationWarning, stacklevel=3)
    return value


def former_attribute(former: str, present: str) -> Any:
    """Make a property that reads an attribute under its former name, and warns.

    Args:
        former: The former name of the attribute.
        present: The name of the attribute now.

    Example:
        >>> class Round:
        ...     fraction = 0.2
        ...     rate = former_attribute("rate", "fraction")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     Round().rate
        0.2
        >>> str(caught[0].message)
        'Round.rate is Round.fraction now: write that; the former name goes.'
    """

    def read(owner: object) -> Any:
        name = type(owner).__name__
        said = f"{name}.{former} is {name}.{present} now: write that; the former name goes."
        warnings.warn(said, DeprecationWarning, stacklevel=2)
        return getattr(owner, present)

    return property(read, doc=f"The former name of ``{present}``, which goes with the next version.")


def with_present_names(text: str) -> str:
    """Write the settings of a run, as an earlier version has saved them, with the names of today.

    Args:
        text: A setting, such as a callback as it was called.

    Example:
        >>> with_present_names("ScheduleRestart()")
        'DenseScheduleRestart()'
        >>> with_present_names("Reinitialize(seed=0, initialise=None)")
        'Reinitialize(seed=0, initialize=None)'
        >>> with_present_names("LayerRates(rates={'*': 0.2})")
        "LayerFractions(fractions={'*': 0.2})"
        >>> with_present_names("lightning_prune.ticket.load_ticket")
        'lightning_prune.masks.ticket.load_ticket'
    """
    for names, pattern in ((MODULES, r"(?<=\blightning_prune\.)({})(?=\.)"), (CLASSES, r"\b({})(?=\()")):
        former = "|".join(map(re.escape, names))
        text = re.sub(pattern.format(former), lambda found, names=names: names[found[0]], text)  # type: ignore[misc]
    for name, arguments in ARGUMENTS.items():  # of this class only: others may have an argument of the same name
        for former, present in arguments.items():
            text = re.sub(rf"(\b{name}\([^()]*?\b){former}(?==)", rf"\g<1>{present}", text)
    return text


def states_under_present_names(states: Mapping[str, Any]) -> dict[str, Any]:
    """Give the states of callbacks in a checkpoint the names that their classes have now.

    Args:
        states: From the state key of a callback, which is the name of its class, to the state.

    Example:
        >>> states_under_present_names({"ScheduleRestart": 1, "EarlyStopping": 2})
        {'DenseScheduleRestart': 1, 'EarlyStopping': 2}
    """
    return {CLASSES.get(key, key): state for key, state in states.items()}
