"""Check the names and types in a checkpoint before this package uses the checkpoint."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from lightning_prune.basics.file_formats import refuse_format
from lightning_prune.basics.user_error import UserError
from lightning_prune.schedules.durations import parse_duration

FORMAT = 1  # of the state of IterativePruning
_VERSION = "pytorch-lightning_version"
_NUMBER = (int, float)
_MAYBE = (int, type(None))
_PROGRESS = {"total": {str: int}, "current": {str: int}}
_EPOCHS = {**_PROGRESS, "current": {"started": int, "processed": int}}
_STEPS = {"optimizer": {"step": _PROGRESS, "zero_grad": _PROGRESS}}

# A kind is a type or several types, a mapping with at least these names, a mapping {str: kind}, or a list [kind].
_FULL = {
    "state_dict": Mapping,
    "callbacks": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    "global_step": int,
    "loops": {"fit_loop": {"epoch_progress": _EPOCHS, "epoch_loop.batch_progress": {"is_last_batch": int}}},
}
_CYCLE = {"index": int, "first_step": int, "steps": int, "sparsity": _NUMBER}
_COUNTERS = ("step", "epoch", "first_epoch", "first_global_step", "epoch_start", "epoch_steps", "stepped", "longer")
_OLD_COUNTERS = {"cut_epochs": "epochs_ahead", "cut_steps": "steps_ahead"}
_MAPPING = (Mapping, type(None))  # a study leaves both out for the nodes that go on from a dense run
_POSITION = {**dict.fromkeys((*_COUNTERS, "epochs_ahead", "steps_ahead"), int), "dense_end": _MAYBE, "cycle": _MAPPING}
_CLOCK = {"position": _POSITION, "settings": _MAPPING, "masks": _MAPPING, "cycles": [{"alive": {str: int}}]}
_SETTINGS = {"dense": str, "cycles": int, "sparsities": [_NUMBER]}
_CURVE = [[_NUMBER]]
_LATENCY = {
    "latency": {str: int},
    "whole": _NUMBER,
    "layers": {str: _NUMBER},
    "alone": {str: {str: _CURVE}},
    "constant": {str: _NUMBER},
    "widths": {str: int},
    "total": _CURVE,
}
_TAPE = {"length": int, "epochs": Tensor, "starts": Tensor, "groups": Tensor, "rates": Tensor}
_GENERATORS = {"torch": Tensor, "numpy": (list, tuple), "python": (list, tuple)}
_OTHERS: dict[str, Any] = {
    "tape": {"tape": _TAPE, "lowest": _NUMBER, "highest": _NUMBER},
    "snapshot": {"to": str, "snapshot": {str: Tensor}},
    "generators": {"generators": [_GENERATORS], "metrics": {str: Tensor}, "gradients": {str: Tensor}},
}
_LATER = {  # parts of the state of IterativePruning that earlier versions did not save
    "evidence": {"epoch": int, "remembered": {str: {str: Tensor}}},
    "trained": {"unheld": [str], "waiting": [str], "over": int},
    "stops": {"decided": int, "ended": int},
}
_NAMED = {"IterativePruning": "masks", "WeightRewind": "snapshot", "ExactResume": "generators"}


def with_present_names(position: Mapping[str, Any]) -> dict[str, Any]:
    """Give the counters of a saved position the names that they have now.

    Args:
        position: The counters by name, as any version has saved them.

    Returns:
        The same counters, each by its present name.

    Example:
        >>> with_present_names({"epoch": 4, "cut_epochs": 2})
        {'epoch': 4, 'epochs_ahead': 2}
    """
    return {_OLD_COUNTERS.get(name, name): value for name, value in position.items()}


def refuse_mangled(checkpoint: object, said: str) -> None:
    """Refuse a checkpoint in which something is missing or has the wrong type. Later such an error would be unclear.

    Checkpoints with weights only are not checked, and neither are the states of callbacks of other packages.

    Args:
        checkpoint: The content of a file.
        said: The start of the error, with the path.

    Raises:
        ValueError: If something is wrong. The message names the place.
    """
    wrong = find_mistake(checkpoint, {"state_dict": Mapping, _VERSION: str}, "")
    if wrong is None and not checkpoint[_VERSION][:1].isdigit():  # type: ignore[index]
        wrong = f"'{_VERSION}' is no version"
    if wrong is not None:
        raise UserError(
            f"{said}: it is no checkpoint of a Trainer ({wrong}). Give one that a Trainer saved. To start from weights "
            "alone, load them into the module."
        )
    assert isinstance(checkpoint, Mapping)
    if "callbacks" not in checkpoint:
        return
    wrong = find_mistake(checkpoint, _FULL, "") or _mistake_of_loop(checkpoint["loops"]["fit_loop"])
    for name, state in () if wrong else checkpoint["callbacks"].items():
        wrong = wrong or _mistake_of_state(name, state, said)
    if wrong is not None:
        raise UserError(f"{said}: {wrong}. It has changed since a Trainer saved it: give another checkpoint.")


def find_mistake(value: Any, kind: Any, where: str) -> str | None:
    """Find the first mistake in a value.

    Args:
        value: Any value.
        kind: The expected kind. It is a type or several types, a mapping with at least these names, a mapping
            ``{str: kind}``, or a list ``[kind]``.
        where: The place of the value in the checkpoint, for the description.

    Returns:
        A description of the mistake. None if there is no mistake.

    Example:
        >>> find_mistake({"a": [1, "x"]}, {"a": [int]}, "state")
        "'state/a/1' is a str"
    """
    parts: Iterable[tuple[str, Any, Any]] = ()
    if isinstance(kind, dict) and isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        if missing := [name for name in kind if name is not str and name not in value]:
            return f"'{where}/{missing[0]}' is missing".replace("'/", "'")
        named = value if str in kind else kind
        parts = ((name, value[name], kind[str if str in kind else name]) for name in named)
    elif isinstance(kind, list) and isinstance(value, list | tuple):
        parts = ((str(place), one, kind[0]) for place, one in enumerate(value))
    elif isinstance(kind, dict | list) or not isinstance(value, kind):
        return f"'{where}' is a {type(value).__name__}" if where else f"it is a {type(value).__name__}"
    return _first(find_mistake(part, inner, f"{where}/{name}".lstrip("/")) for name, part, inner in parts)


def _first(mistakes: Iterable[str | None]) -> str | None:
    return next((mistake for mistake in mistakes if mistake is not None), None)


def _mistake_of_loop(loop: Mapping[str, Any]) -> str | None:
    """Find a mistake in Lightning's loop counters. Lightning reads them without a check."""
    for name, part in loop.items():
        kind: Any = _STEPS if name.endswith("optim_progress") else _PROGRESS if name.endswith("progress") else Mapping
        kind = {**_PROGRESS, "is_last_batch": int} if name.endswith("batch_progress") else kind
        if wrong := find_mistake(part, kind, f"loops/fit_loop/{name}"):
            return wrong
    return None


def _mistake_of_state(name: str, state: object, said: str) -> str | None:
    """Find a mistake in the state of a callback of this package. Other callbacks may save anything but a string."""
    where = f"callbacks/{name}"
    known = _NAMED.get(str(name).split("{")[0])
    if not isinstance(state, Mapping):
        return f"'{where}' is a {type(state).__name__}" if known or isinstance(state, str) else None
    if known == "masks" or {"masks", "position"} <= state.keys():
        refuse_format(state.get("format"), FORMAT, f"{said}: '{where}' in it")
        if isinstance(state.get("position"), Mapping):
            state = {**state, "position": with_present_names(state["position"])}
        return find_mistake(state, _CLOCK, where) or _mistake_of_clock(state, where)
    kind = known or ("tape" if len(_OTHERS["tape"].keys() & state.keys()) > 1 else None)  # of any policy
    return None if kind is None else find_mistake(state, _OTHERS[kind], where)


def _mistake_of_clock(state: Mapping[str, Any], where: str) -> str | None:
    cycle, settings = state["position"].get("cycle"), state.get("settings")
    checks = (
        (cycle, _CYCLE, "position/cycle"),
        (settings, _SETTINGS, "settings"),
        (state["masks"], {str: Tensor}, "masks"),
        (state.get("units"), {"masks": {str: Tensor}, "units": {str: [int]}}, "units"),
        (state.get("latency"), _LATENCY, "latency"),
        *((state[name], kind, name) for name, kind in _LATER.items() if name in state),
    )
    given = ((value, kind, name) for value, kind, name in checks if value is not None or name in _LATER)
    wrong = _first(find_mistake(value, kind, f"{where}/{name}") for value, kind, name in given)
    if wrong is None and settings is not None and not _is_duration(settings["dense"]):
        return f"'{where}/settings/dense' is no duration"
    return wrong


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text, "dense")
    except ValueError:
        return False
    return True
