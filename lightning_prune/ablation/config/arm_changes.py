"""What an arm changes in the base config: dictionaries in, a dictionary out."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import isclass
from typing import Any

from lightning.pytorch import Callback

from lightning_prune.ablation.config.class_paths import full_path
from lightning_prune.ablation.config.keys import Config, merged, set_value
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.base import CycleClock
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.starting_points.base import StartingPoint

FAMILIES = (CycleClock, LearningRatePolicy, StartingPoint)


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> Config:
    """Apply the changes of an arm to a config.

    Args:
        base: A config of ``lightning-prune fit``.
        changes: ``callbacks`` takes the place of callbacks of the same family in the base: a learning-rate policy for
            the policy, a starting point for the starting point, arguments for an ``IterativePruning``, any other for
            one of the same class; what finds none is added. ``without`` names classes to leave out. Any other key is an
            argument of the arm's own callbacks, else of ``IterativePruning``, else of another callback or of the model,
            a section (``trainer``, ``model``, ``data``), or a path into one, such as ``data.batch_size``. A mapping
            without ``class_path`` changes arguments of what is there.
        owner: Who asks, for errors.

    Returns:
        The changed config; the base stays as it is.

    Raises:
        ValueError: If a key is unknown, or means several things.

    Example:
        >>> clock = {"class_path": "lightning_prune.IterativePruning", "init_args": {"cycles": 2}}
        >>> base = {"trainer": {"max_epochs": 3, "callbacks": [clock]}}
        >>> changed(base, {"cycles": 5, "callbacks": ["LRRewind"], "trainer.max_epochs": 4}, "arm 'a'")["trainer"]
        ... # doctest: +NORMALIZE_WHITESPACE
        {'max_epochs': 4, 'callbacks': [{'class_path': 'lightning_prune.IterativePruning', 'init_args': {'cycles': 5}},
        {'class_path': 'lightning_prune.LRRewind', 'init_args': {}}]}
    """
    config = deepcopy(dict(base))
    trainer = config.setdefault("trainer", {})
    trainer["callbacks"] = [entry(one, owner) for one in trainer.get("callbacks") or []]
    own = [entry(one, owner) for one in _as_list(changes.get("callbacks"))]
    for name in _as_list(changes.get("without")):
        _leave_out(trainer["callbacks"], str(name), owner)
    _refuse_rivals(own, owner)
    for one in own:
        _put(trainer["callbacks"], one, own)
    paths = [one["class_path"] for one in own]
    for key, value in changes.items():
        if key not in ("callbacks", "without"):
            set_value(config, str(key), value, paths, owner)
            trainer = config["trainer"]
            trainer["callbacks"] = [entry(one, owner) for one in _as_list(trainer.get("callbacks"))]
    return config


def entry(given: Any, owner: str) -> Config:
    """Write a callback in full: its class path and its arguments.

    Args:
        given: A class path or a name of this package; alone, or as ``class_path`` beside ``init_args``.
        owner: Who asks, for errors.

    Raises:
        ValueError: If it is neither, there is no such class, or it is no callback.

    Example:
        >>> entry("FineTune", "arm 'a'")
        {'class_path': 'lightning_prune.FineTune', 'init_args': {}}
    """
    content: Any = {"class_path": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping) or not isinstance(content.get("class_path"), str):
        raise ValueError(
            f"{owner}: {given!r} is no callback. Write its name, or {{class_path: LRRewind, init_args: {{to: 15ep}}}}."
        )
    unknown = sorted(content.keys() - {"class_path", "init_args", "dict_kwargs"})
    if unknown:
        raise ValueError(
            f"{owner}: {content['class_path']} has {unknown[0]!r} beside class_path and init_args: arguments go into "
            "init_args."
        )
    path = full_path(content["class_path"], owner)
    if not (isclass(found := class_at(path)) and issubclass(found, Callback)):
        raise ValueError(f"{owner}: {path} is no callback. Give the path of a subclass of lightning.pytorch.Callback.")
    more = {"dict_kwargs": dict(content["dict_kwargs"])} if content.get("dict_kwargs") else {}
    return {"class_path": path, "init_args": dict(content.get("init_args") or {}), **more}


def _refuse_rivals(own: Sequence[Config], owner: str) -> None:
    """Refuse callbacks of an arm that would take each other's place."""
    for family in FAMILIES:
        rivals = [one["class_path"].rsplit(".", 1)[-1] for one in own if _family(one) is family]
        if len(rivals) > 1:
            raise ValueError(f"{owner}: {' and '.join(rivals)} would take each other's place: keep one of them.")


def _family(callback: Config) -> Any:
    cls = class_at(callback["class_path"])
    return next((one for one in FAMILIES if isclass(cls) and issubclass(cls, one)), cls)


def _put(callbacks: list[Config], new: Config, own: Sequence[Config]) -> None:
    """Replace the base's callback of the same family, or add it; IterativePruning's arguments change one by one."""
    new_class, family = class_at(new["class_path"]), _family(new)
    for index, old in enumerate(callbacks):
        old_class = class_at(old["class_path"])
        if any(old is one for one in own):
            continue
        if isclass(old_class) and isclass(family) and issubclass(old_class, family):
            merges = family is CycleClock and old_class is new_class
            callbacks[index] = merged(old, new["init_args"]) if merges else new
            return
    callbacks.append(new)


def _leave_out(callbacks: list[Config], name: str, owner: str) -> None:
    left = [one for one in callbacks if name not in (one["class_path"], one["class_path"].rsplit(".", 1)[-1])]
    if len(left) == len(callbacks):
        there = ", ".join(one["class_path"].rsplit(".", 1)[-1] for one in callbacks) or "none"
        raise ValueError(f"{owner}: `without: {name}` is not among the base's callbacks, which are {there}.")
    callbacks[:] = left


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
