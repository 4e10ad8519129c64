"""Read the temperatures of a study: checkpoints of one dense run, or changes to the config of the dense run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_prune.basics.user_error import UserError

EPOCHS = "trainer.max_epochs"
BATCH_SIZE = "batch_size"
OF_EPOCHS = ("milestones", "step_size", "T_max", "T_0", "total_iters")  # arguments of schedulers that count epochs


@dataclass(frozen=True)
class Temperature:
    """One way to train the dense network.

    Args:
        name: What tells it from the others in tables and pictures.
        changes: The changes to the base config for the dense run.
        epoch: The epoch of the dense run whose network is pruned, at least 1. None: the network at its end.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    epoch: int | None = None


def read_temperatures(given: Any, base: Mapping[str, Any]) -> list[Temperature]:
    """Read the temperatures of a study.

    Args:
        given: ``{path: values}`` for one path of the config, such as ``{"trainer.max_epochs": [10, 80, 160]}``, or
            ``{name: changes}``. Values of ``trainer.max_epochs`` are checkpoints of one dense run, whose length is that
            of the base. For another batch size, epochs and the scheduler of the base are scaled, so that the number of
            steps is the same.
        base: The base config, in full.

    Returns:
        The temperatures, in the order in which they were given.

    Raises:
        ValueError: If there are none, they cannot be read, or a checkpoint lies outside the dense run.

    Example:
        >>> base = {"trainer": {"max_epochs": 30}}
        >>> [one.epoch for one in read_temperatures({"trainer.max_epochs": [10, 30]}, base)]
        [10, None]
        >>> read_temperatures({"large steps": {"model.optimizer.lr": 0.3}}, base)[0].name
        'large steps'
    """
    if not isinstance(given, Mapping) or not given:
        raise UserError(
            f"RegimeStudy(temperatures={given!r}) must give values by path, such as {{{EPOCHS}: [10, 80, 160]}}, or "
            "changes by name."
        )
    named = [name for name, changes in given.items() if isinstance(changes, Mapping)]
    if named and len(named) < len(given):
        other = next(name for name in given if name not in named)
        raise UserError(
            f"RegimeStudy(temperatures) gives changes for `{named[0]}`, and for `{other}` it gives {given[other]!r}: "
            "write changes for both, {} for none."
        )
    if named:
        return [Temperature(str(name), dict(changes)) for name, changes in given.items()]
    if len(given) > 1:
        raise UserError(
            f"RegimeStudy(temperatures) changes {len(given)} paths at once. Give the values of one path, or changes by "
            "name: {hot: {...}, cold: {...}}."
        )
    ((path, values),) = given.items()
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UserError(f"RegimeStudy(temperatures) gives no list of values for `{path}`: {values!r}.")
    if len(set(map(str, values))) < len(values):
        raise UserError(f"RegimeStudy(temperatures) gives a value of `{path}` twice: {list(values)!r}.")
    if path == EPOCHS:
        return [_checkpoint(value, base) for value in values]
    if path.split(".")[-1] == BATCH_SIZE:
        return [Temperature(_name(path, value), _with_batch(path, value, base)) for value in values]
    return [Temperature(_name(path, value), {path: value}) for value in values]


def dense_length(base: Mapping[str, Any]) -> int:
    """The epochs of the dense run of a base config.

    Args:
        base: The config.

    Raises:
        ValueError: If its length is not a number of epochs.
    """
    found = (base.get("trainer") or {}).get("max_epochs")
    if type(found) is not int or found < 1:
        raise UserError(
            f"RegimeStudy(base) must say how long its dense run is: trainer.max_epochs of at least 1, not {found}."
        )
    return found


def _checkpoint(value: Any, base: Mapping[str, Any]) -> Temperature:
    length = dense_length(base)
    if type(value) is not int or not 1 <= value <= length:
        raise UserError(
            f"RegimeStudy(temperatures): a checkpoint after {value!r} epochs lies outside the dense run of {length}. "
            f"Give whole numbers from 1 to {length}, or lengthen the dense run of the base."
        )
    return Temperature(f"{value} epoch{'s' * (value > 1)}", {}, None if value == length else value)


def _name(path: str, value: Any) -> str:
    return f"{path.split('.')[-1].replace('_', ' ')} {value}"


def _with_batch(path: str, size: Any, base: Mapping[str, Any]) -> dict[str, Any]:
    """Another batch size with as many steps: a batch of half the size makes an epoch of twice the steps."""
    data = base.get("data") or {}
    old = (data.get("init_args") or data).get(BATCH_SIZE) if isinstance(data, Mapping) else None
    if type(old) is not int or type(size) is not int or size < 1:
        raise UserError(
            f"RegimeStudy(temperatures): to keep the steps fixed, `{path}` of the base and its values must be whole "
            f"numbers, not {old!r} and {size!r}. Or give the changes by name."
        )
    factor = size / old
    changes = {path: size, EPOCHS: max(1, round(dense_length(base) * factor))}
    model = (base.get("model") or {}).get("init_args") or {}
    arguments = (model.get("scheduler") or {}).get("init_args") or {}
    for name in OF_EPOCHS:
        if name in arguments:
            changes[f"model.scheduler.{name}"] = _scaled(arguments[name], factor)
    return changes


def _scaled(epochs: Any, factor: float) -> Any:
    """Epochs, or a list of them, for another length of an epoch.

    Example:
        >>> _scaled([20, 26], 0.5), _scaled(30, 2.0)
        ([10, 13], 60)
    """
    if isinstance(epochs, list | tuple):
        return [_scaled(one, factor) for one in epochs]
    return max(1, round(epochs * factor))
