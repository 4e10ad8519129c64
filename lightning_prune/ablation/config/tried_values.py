"""Read the search of an arm: values that are tried in every cycle from the same pruned network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any

from lightning_prune.basics.user_error import UserError

OPTIONS = ("sampler", "trials", "tolerance")


@dataclass(frozen=True)
class Search:
    """The search of an arm. In each cycle it tries values from the same pruned network.

    The arm goes on with the network that is the best by validation. Where a callback may leave out cycles
    (``RetrainWhenNeeded``), the values are tried once, over all cycles, from the same dense network.

    Args:
        values: Lists of values by argument. Optuna also takes a range, ``{"low": 0.001, "high": 0.1, "log": true}``.
        sampler: ``"grid"`` tries every combination. ``"optuna"`` tries ``trials`` combinations.
        trials: The number of combinations that Optuna tries in each cycle, at least 1.
        tolerance: How much of the best validation metric may be given up for fewer epochs, at least 0, in the units of
            the metric. The arm then goes on with the fewest epochs among the networks that are no further from the
            best one. None: the best network.
    """

    values: Mapping[str, Any]
    sampler: str = "grid"
    trials: int = 0
    tolerance: float | None = None

    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the values of a grid.

        Example:
            >>> Search({"peak": [0.1, 0.2], "warmup": [0.1]}).combinations()
            [{'peak': 0.1, 'warmup': 0.1}, {'peak': 0.2, 'warmup': 0.1}]
        """
        return list(combinations_of(self.values))


def read_search(name: str, given: Any) -> Search | None:
    """Read the key ``search`` of an arm.

    Args:
        name: The arm, for errors.
        given: Values by argument, with ``sampler``, ``trials`` and ``tolerance``. None: the arm does not search.

    Raises:
        ValueError: If there is nothing to try, or something does not fit.

    Example:
        >>> read_search("oracle", {"policy.max_lr": [0.1, 0.2]})
        Search(values={'policy.max_lr': [0.1, 0.2]}, sampler='grid', trials=0, tolerance=None)
    """
    if given is None:
        return None
    owner = f"Ablation(arms): the search of arm {name!r}"
    if not isinstance(given, Mapping):
        raise UserError(f"{owner} must give values by argument, such as {{peak: [0.01, 0.1]}}, not {given!r}.")
    values = {key: value for key, value in given.items() if key not in OPTIONS}
    sampler, trials, tolerance = given.get("sampler", "grid"), given.get("trials", 0), given.get("tolerance")
    if not values:
        raise UserError(f"{owner} has nothing to try. Give values by argument, such as {{peak: [0.01, 0.1]}}.")
    if sampler not in ("grid", "optuna"):
        raise UserError(f"{owner}: sampler={sampler!r} is unknown. Give 'grid' or 'optuna'.")
    if sampler == "optuna" and not (isinstance(trials, int) and trials >= 1):
        raise UserError(f"{owner}: sampler='optuna' needs `trials`, at least 1, not {trials!r}.")
    is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if tolerance is not None and not (is_number and tolerance >= 0):
        raise UserError(f"{owner}: tolerance={tolerance!r} must be at least 0, in the units of the metric.")
    if sampler == "optuna" and find_spec("optuna") is None:
        raise UserError(f"{owner}: sampler='optuna' needs Optuna: pip install 'lightning-prune[optuna]'")
    for key, value in values.items():
        listed = isinstance(value, list | tuple) and len(value) > 0
        ranged = isinstance(value, Mapping) and {"low", "high"} <= value.keys()
        if not (listed or (sampler == "optuna" and ranged)):
            raise UserError(
                f"{owner}: `{key}` must be a list of values{' or a range (low, high)' * (sampler == 'optuna')}, not "
                f"{value!r}."
            )
    return Search(values, sampler, trials, tolerance)


def combinations_of(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Go through every combination of values.

    Args:
        values: Lists of values by key.

    Example:
        >>> list(combinations_of({"a": [1, 2], "b": [3]}))
        [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    for combination in product(*values.values()):
        yield dict(zip(values, combination, strict=True))
