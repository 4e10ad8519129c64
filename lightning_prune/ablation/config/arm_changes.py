"""Apply the changes of an arm to the base config. Both are dictionaries, and so is the result."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import isclass
from typing import Any

from lightning.pytorch import Callback

from lightning_prune.ablation.config.callback_objects import kind_in, name_in
from lightning_prune.ablation.config.class_paths import full_path
from lightning_prune.ablation.config.keys import Config, merged, set_value
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import RIVALS, Kind


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], owner: str) -> Config:
    """Apply the changes of an arm to a config.

    Args:
        base: A config of ``lightning-prune fit``.
        changes: Changes by key.

            ``callbacks`` replaces callbacks of the same family in the base. A learning-rate policy replaces the policy,
            and a starting point replaces the starting point. The arguments of an ``IterativePruning`` change one by
            one. Any other callback replaces a callback of its own class. A callback without such a partner is added.

            ``without`` names classes to leave out.

            Any other key is an argument, a section (``trainer``, ``model``, ``data``), or a path into a section, such
            as ``data.batch_size``. An argument is first looked for in the arm's own callbacks, then in
            ``IterativePruning``, then in the other callbacks and in the model. A value that is a mapping without
            ``class_path`` changes single arguments of the object in the base.
        owner: The caller's name for errors.

    Returns:
        The changed config. The base stays as it is.

    Raises:
        ValueError: If a key is unknown, or has several meanings.

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
    """Write a callback in full, with its class path and its arguments.

    Args:
        given: A class path or a name of this package. It stands alone, or as ``class_path`` beside ``init_args``.
        owner: The caller's name for errors.

    Raises:
        ValueError: If ``given`` is neither of the two, if there is no such class, or if the class is no callback.

    Example:
        >>> entry("FineTune", "arm 'a'")
        {'class_path': 'lightning_prune.FineTune', 'init_args': {}}
    """
    content: Any = {"class_path": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping) or not isinstance(content.get("class_path"), str):
        raise UserError(
            f"{owner}: {given!r} is no callback. Write its name, or {{class_path: LRRewind, init_args: {{to: 15ep}}}}."
        )
    unknown = sorted(content.keys() - {"class_path", "init_args", "dict_kwargs"})
    if unknown:
        raise UserError(
            f"{owner}: {content['class_path']} has {unknown[0]!r} beside class_path and init_args. Put arguments into "
            "init_args."
        )
    path = full_path(content["class_path"], owner)
    if not (isclass(found := class_at(path)) and issubclass(found, Callback)):
        raise UserError(f"{owner}: {path} is no callback. Give the path of a subclass of lightning.pytorch.Callback.")
    more = {"dict_kwargs": dict(content["dict_kwargs"])} if content.get("dict_kwargs") else {}
    return {"class_path": path, "init_args": dict(content.get("init_args") or {}), **more}


def _refuse_rivals(own: Sequence[Config], owner: str) -> None:
    """Refuse callbacks of an arm that would take each other's place."""
    for kind in RIVALS:
        rivals = [name_in(one) for one in own if kind_in(one) is kind]
        if len(rivals) > 1:
            raise UserError(f"{owner}: {' and '.join(rivals)} would take each other's place: keep one of them.")


def _put(callbacks: list[Config], new: Config, own: Sequence[Config]) -> None:
    """Replace the base's callback of the same family, or add it. IterativePruning's arguments change one by one."""
    for index, old in enumerate(callbacks):
        if not any(old is one for one in own) and _have_one_place(old, new):
            merges = kind_in(new) is Kind.CLOCK and class_at(old["class_path"]) is class_at(new["class_path"])
            callbacks[index] = merged(old, new["init_args"]) if merges else new
            return
    callbacks.append(new)


def _have_one_place(old: Config, new: Config) -> bool:
    kind = kind_in(new)
    if kind in RIVALS:
        return kind_in(old) is kind
    return issubclass(class_at(old["class_path"]), class_at(new["class_path"]))


def _leave_out(callbacks: list[Config], name: str, owner: str) -> None:
    left = [one for one in callbacks if name not in (one["class_path"], name_in(one))]
    if len(left) == len(callbacks):
        there = ", ".join(name_in(one) for one in callbacks) or "none"
        raise UserError(f"{owner}: `without: {name}` is not among the base's callbacks, which are {there}.")
    callbacks[:] = left


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
