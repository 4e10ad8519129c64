"""Read the arms of a study. An arm is a name and its changes to the base config. A grid stands for many arms."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lightning_prune.ablation.config.averaged_copies import read_soup
from lightning_prune.ablation.config.tried_values import Search as Search
from lightning_prune.ablation.config.tried_values import combinations_of, read_search
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.sections import SECTIONS
from lightning_prune.lab.visible import refuse_unseen

UNSAID = (*SECTIONS, "model")  # sections whose arguments speak for themselves
RESERVED = ("name", "grid", "search", "soup")


@dataclass(frozen=True)
class Arm:
    """One of the variants that a study compares.

    Args:
        name: The name of the arm in tables and pictures.
        changes: The changes to the base config.
        search: The search of the arm. None for an arm that does not search.
        crossed: The part of the name that says the arm's values in the grid of the study. Empty without such a grid.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    crossed: str = ""


def read_arms(given: Any, grid: Mapping[str, Any] | None = None) -> list[Arm]:
    """Read the arms of a study, and write out their grids.

    Args:
        given: A list of mappings with a ``name``, or a mapping from names to changes.
        grid: Values by key. Every arm is combined with each of them.

    Returns:
        The arms. The names of the arms of a grid say their values.

    Raises:
        ValueError: If there is no arm, two arms have the same name, a name cannot be shown, or a grid or a search is
            empty.

    Example:
        >>> [arm.name for arm in read_arms({"one": {}, "two": {"grid": {"lr": [0.01, 0.1]}}})]
        ['one', 'two lr=0.01', 'two lr=0.1']
    """
    arms = [arm for one in _as_list(given) for arm in _written_out(one, grid or {})]
    if not arms:
        raise UserError("Ablation(arms): there is no arm. Give at least one, for instance `arms: {FineTune: {}}`.")
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    for name in names:
        refuse_unseen(name, "Ablation(arms)")
    if twice is not None:
        raise UserError(f"Ablation(arms): {names.count(twice)} arms are called {twice!r}. Give each its own name.")
    return arms


def _as_list(given: Any) -> list[Mapping[str, Any]]:
    if isinstance(given, Mapping):
        given = [{"name": name, **_mapping(name, changes)} for name, changes in given.items()]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise UserError(f"Ablation(arms) must be a list of arms, or a mapping from names to changes, not {given!r}.")
    for one in given:
        if not isinstance(one, Mapping) or one.get("name") in (None, ""):
            raise UserError(f"Ablation(arms): an arm is a mapping with a `name`, not {one!r}.")
    return list(given)


def _mapping(name: Any, changes: Any) -> Mapping[str, Any]:
    if changes is not None and not isinstance(changes, Mapping):
        raise UserError(f"Ablation(arms): arm {name!r} must be a mapping of changes, not {changes!r}.")
    return changes or {}


def _written_out(given: Mapping[str, Any], everywhere: Mapping[str, Any]) -> Iterator[Arm]:
    name = str(given["name"])
    changes = {key: value for key, value in given.items() if key not in RESERVED}
    own = _mapping(name, given.get("grid"))
    if "grid" in given and not own:
        raise UserError(f"Ablation(arms): the grid of arm {name!r} is empty. Give values by key, or leave it out.")
    grid = {**own, **everywhere}
    for key, values in grid.items():
        if not isinstance(values, list | tuple) or not values:
            raise UserError(
                f"Ablation(arms): the grid of arm {name!r} gives no values for `{key}`: {values!r}. Give a list of at "
                f"least one, or leave `{key}` out."
            )
        if key in changes or (key in own and key in everywhere):
            raise UserError(f"Ablation(arms): arm {name!r} sets `{key}`, and a grid gives it values, too. Keep one.")
    search = read_search(name, given.get("search"))
    soup = read_soup(name, given.get("soup"))
    if search is not None and soup is not None:
        raise UserError(f"Ablation(arms): arm {name!r} has a search and a soup. Give one of them.")
    search = soup or search
    if search is not None and (both := next((key for key in search.values if key in {**changes, **grid}), None)):
        raise UserError(f"Ablation(arms): arm {name!r} sets `{both}`, and its search tries values for it. Keep one.")
    for values, texts in zip(combinations_of(grid), product(*map(_texts, grid.values())), strict=True):
        said = [f"{key}={text}" for key, text in zip(_words_of(values), texts, strict=True)]
        yield Arm(" ".join([name, *said]), {**changes, **values}, search, " ".join(said[len(own) :]))


def _words_of(paths: Iterable[str]) -> list[str]:
    """Write paths as parts of names, without their sections if they differ without.

    Example:
        >>> _words_of(["pruning.retrain", "model.optimizer.lr", "trainer.precision"])
        ['retrain', 'optimizer.lr', 'trainer.precision']
    """
    given = list(paths)
    short = [path.removeprefix(f"{path.split('.')[0]}.") if path.split(".")[0] in UNSAID else path for path in given]
    return [one if short.count(one) == 1 else path for one, path in zip(short, given, strict=True)]


def _texts(values: Sequence[Any]) -> list[str]:
    """Write values as parts of names. The short forms are used where they differ."""
    short = [_short(value) for value in values]
    return [text if short.count(text) == 1 else str(value) for text, value in zip(short, values, strict=True)]


def _short(value: Any) -> str:
    """Write a value as a part of a name.

    Example:
        >>> _short(0.1), _short({"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}), _short("a.b.magnitude")
        ('0.1', 'SGD(lr=0.1)', 'magnitude')
    """
    if isinstance(value, Mapping) and "class_path" in value:
        arguments = ",".join(f"{key}={_short(inner)}" for key, inner in (value.get("init_args") or {}).items())
        return f"{_short(value['class_path'])}({arguments})"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_short, value))}]"
    if isinstance(value, str) and value.replace(".", "").replace("_", "").isalnum() and not value[0].isdigit():
        return value.rsplit(".", 1)[-1]
    return str(value)
