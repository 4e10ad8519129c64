"""Write Python objects as a config: a study in Python names its module and callbacks as objects or classes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import Parameter, isclass, signature
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule

from lightning_prune.ablation.config.callback_objects import entry_of
from lightning_prune.ablation.config.loaders_of_module import LoadersOfModule
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleMember
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.dynamic.dynamic_sparsity import DynamicSparsity
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.callbacks.settings.described import describe


def written_base(base: Any) -> Any:
    """Write the base of a study, which may hold objects, as a config.

    Args:
        base: ``{"model": ..., "data": ..., "trainer": {"max_epochs": ..., "callbacks": [...]}}``, or the path of a
            config. A module without ``data`` has loaders of its own.

    Raises:
        ValueError: If ``data`` is a dataset or a loader, or nobody can tell how an object was made.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> written_base({"trainer": {"callbacks": [IterativePruning(cycles=3)]}})["trainer"]["callbacks"]
        [{'class_path': 'lightning_prune.callbacks.iterative_pruning.IterativePruning', 'init_args': {'cycles': 3}}]
    """
    if isinstance(base, Mapping):
        _refuse_no_data_module(base.get("data"))
    found = written(base, "base")
    if isinstance(found, dict) and "model" in found:
        found.setdefault("data", entry_of(LoadersOfModule, {}))  # and not the data of the command line's default
    return found


def _refuse_no_data_module(given: object) -> None:
    """Refuse a dataset, a loader, and a function that makes them."""
    made = given.func if isinstance(given, partial) else given
    kind = made if isinstance(made, type) else type(made)
    if made is None or issubclass(kind, Mapping | str | Path) or issubclass(kind, everywhere(LightningDataModule)):
        return
    name = describe(made) if callable(made) else f"a {kind.__name__}"
    raise UserError(
        f"Ablation(base.data) is {name}, and every run makes its data itself: give the class of a LightningDataModule "
        "whose train_dataloader and val_dataloader return your loaders. Or leave out data, and write the two methods "
        "in the module."
    )


def written_arms(arms: Any) -> Any:
    """Write the arms of a study, which may be lists of callbacks, as changes of a config.

    Args:
        arms: From the name of an arm to its callbacks, or to its changes by key.

    Example:
        >>> from lightning_prune import FineTune
        >>> arms = written_arms({"fine-tuning": [FineTune(lr=0.1)], "longer": {"pruning.retrain": "9ep"}})
        >>> arms["fine-tuning"]["callbacks"]
        [{'class_path': 'lightning_prune.callbacks.policies.constant.FineTune', 'init_args': {'lr': 0.1}}]
    """
    if not isinstance(arms, Mapping):
        return written(arms, "arms")
    return {name: _arm(one, f"arms.{name}") for name, one in arms.items()}


def written(value: Any, where: str) -> Any:
    """Write a value, at any depth, so that a config can hold it.

    Args:
        value: Plain values, classes, functions, ``functools.partial`` of a class, and objects of which it is known how
            they were made: callbacks, schedules, criteria, allocations and selections of this package, and modules and
            data modules that have saved their hyperparameters.
        where: The key under which the value stands, for the error.

    Raises:
        ValueError: If nobody can tell how an object was made.

    Example:
        >>> from lightning_prune import OneShot
        >>> written({"sparsity": OneShot(0.8)}, "base")
        {'sparsity': {'class_path': 'lightning_prune.schedules.sparsity.OneShot', 'init_args': {'final': 0.8}}}
    """
    if isinstance(value, Mapping) and not isinstance(value, CycleMember):
        return {name: written(one, f"{where}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [written(one, f"{where}.{index}") for index, one in enumerate(value)]
    if isinstance(value, partial):
        if value.args or not isclass(value.func):
            raise UserError(f"Ablation({where}) is a partial of {describe(value.func)}: give one of a class, by names.")
        return entry_of(value.func, written(value.keywords, where))
    if isclass(value):
        return value
    if is_dataclass(value):
        return entry_of(type(value), _changed(value, [field.name for field in fields(value)], where))
    if isinstance(value, CycleMember | DynamicSparsity | ExactResume):
        former = getattr(value, "former_arguments", ())
        return entry_of(type(value), _changed(value, [one for one in _parameters(value) if one not in former], where))
    if isinstance(value, LightningModule | LightningDataModule):
        return entry_of(type(value), _hyperparameters(value, where))
    if isinstance(value, Callback):
        raise UserError(f"Ablation({where}) is a {type(value).__name__}, which {_how(value)}")
    return value


def _arm(given: Any, where: str) -> Any:
    if isinstance(given, Callback | partial) or isclass(given):
        given = [given]
    if isinstance(given, Sequence) and not isinstance(given, str):
        return {"callbacks": [written(one, f"{where}.{index}") for index, one in enumerate(given)]}
    return written(given, where)


def _parameters(value: object) -> Mapping[str, Parameter]:
    return signature(type(value)).parameters


def _changed(value: object, names: Sequence[str], where: str) -> dict[str, Any]:
    """The arguments of an object that differ from their defaults, from the attributes of the same names."""
    defaults = {name: one.default for name, one in _parameters(value).items()}
    given = {name: getattr(value, name) for name in names if name in defaults}
    return {
        name: written(one, f"{where}.{name}")
        for name, one in given.items()
        if defaults[name] is Parameter.empty or describe(one) != describe(defaults[name])
    }


def _hyperparameters(value: LightningModule | LightningDataModule, where: str) -> dict[str, Any]:
    """The arguments of a module, if it has saved them."""
    names = [name for name, one in _parameters(value).items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    if missing := [name for name in names if name not in value.hparams]:
        raise UserError(f"Ablation({where}) is a {type(value).__name__}, whose `{missing[0]}` {_how(value)}")
    takes_more = any(one.kind is one.VAR_KEYWORD for one in _parameters(value).values())
    if not takes_more and (of_base := [name for name in value.hparams if name not in _parameters(value)]):
        # Lightning's command line makes the module again, and then keeps the arguments of its class alone.
        name = type(value).__name__
        raise UserError(
            f"Ablation({where}) is a {name}, whose base class has saved the hyperparameter `{of_base[0]}`. {name} does "
            f"not take `{of_base[0]}`, so the runs of a study would lack it in self.hparams. Let {name} take it and "
            "pass it on, or read an attribute in place of self.hparams."
        )
    return {name: written(value.hparams[name], f"{where}.{name}") for name in names}


def _how(value: object) -> str:
    name = type(value).__name__
    saved = ", or call self.save_hyperparameters() in its __init__" * isinstance(
        value, LightningModule | LightningDataModule
    )
    return (
        f"nobody knows any more: every run of a study makes one of its own. Give the class, {name}, or "
        f"functools.partial({name}, ...) with its arguments{saved}."
    )
