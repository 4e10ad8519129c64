"""Read the soup of an arm: copies that are retrained from the same pruned network, and averaged in every cycle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_prune.ablation.config.tried_values import Search
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.sections import in_full, section_of

ORDER = "order"  # stands for the seed of a DataOrder beside the arm's own callbacks


@dataclass(frozen=True)
class AveragedCopies(Search):
    """The soup of an arm. In each cycle, copies are retrained from the same pruned network, and averaged.

    The arm goes on with their mean: the next prune is that of the mean. The copies are nodes of the study like those of
    a search, which tries the same values.

    Args:
        greedy: Whether a copy is left out if the mean with it is worse by validation.

    Example:
        >>> AveragedCopies({"order": [1, 2], "policy.max_lr": [0.05, 0.1]}).combinations()
        [{'order': 1, 'policy.max_lr': 0.05}, {'order': 2, 'policy.max_lr': 0.1}]
    """

    greedy: bool = True

    def combinations(self) -> list[dict[str, Any]]:
        return [dict(zip(self.values, one, strict=True)) for one in zip(*self.values.values(), strict=True)]


def read_soup(name: str, given: Any) -> AveragedCopies | None:
    """Read the key ``soup`` of an arm.

    Args:
        name: The arm, for errors.
        given: ``{"copies": 2, "vary": {"policy.max_lr": [0.05, 0.1]}, "greedy": true}``. Without ``vary`` the copies
            differ in the order of their data only. None: the arm has no soup.

    Raises:
        ValueError: If something of it is missing, unknown or does not fit.

    Example:
        >>> read_soup("soup", {"copies": 2, "greedy": False}).values
        {'order': [1, 2]}
    """
    if given is None:
        return None
    owner = f"Ablation(arms): the soup of arm {name!r}"
    if not isinstance(given, Mapping) or not given.keys() <= {"copies", "vary", "greedy"}:
        raise UserError(
            f"{owner} must be a mapping such as {{copies: 3, greedy: true}}, and may have vary, not {given!r}."
        )
    copies, vary, greedy = given.get("copies"), given.get("vary") or {}, given.get("greedy", True)
    if not isinstance(copies, int) or isinstance(copies, bool) or copies < 2:
        raise UserError(f"{owner}: copies={copies!r} must be a whole number of at least 2.")
    if not isinstance(greedy, bool):
        raise UserError(f"{owner}: greedy={greedy!r} must be true or false.")
    if not isinstance(vary, Mapping):
        raise UserError(f"{owner}: vary={vary!r} must give a value for each copy by argument.")
    for key, values in vary.items():
        if not isinstance(values, list | tuple) or len(values) != copies:
            raise UserError(f"{owner}: `{key}` must be a list of {copies} values, one for each copy, not {values!r}.")
    return AveragedCopies({ORDER: list(range(1, copies + 1)), **vary}, greedy=greedy)


def spelled(values: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Write the changes of a copy or of a candidate as changes of a config: the order of the data is a callback.

    Args:
        values: The values by argument.
        config: The config of the arm, whose other callbacks stay.

    Example:
        >>> spelled({"order": 2, "policy.max_lr": 0.1}, {})["trainer.callbacks"]
        [{'class_path': 'lightning_prune.DataOrder', 'init_args': {'seed': 2}}]
    """
    rest = {key: value for key, value in values.items() if key != ORDER}
    if ORDER not in values:
        return rest
    order = {"class_path": "lightning_prune.DataOrder", "init_args": {"seed": values[ORDER]}}
    return {**rest, "trainer.callbacks": [*_others(config), order]}


def _others(config: Mapping[str, Any]) -> list[Any]:
    """The callbacks that have no section of their own."""
    listed = (in_full(config).get("trainer") or {}).get("callbacks") or []
    return [one for one in listed if section_of(one) is None]
