"""Read the config of a study of regimes from a YAML file or from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from lightning_prune.ablation.config.plain_values import read_yaml
from lightning_prune.ablation.config.study_config import StudyConfig, read_study
from lightning_prune.basics.checks import check_at_least, require
from lightning_prune.basics.config_files import config_file
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.sections import in_full
from lightning_prune.regimes.study.temperatures import Temperature, read_temperatures

KEYS = ("name", "base", "seeds", "metric", "copies", "points", "tolerance", "temperatures", "densities", "retrain")


@dataclass(frozen=True)
class RegimesConfig:
    """The config of a study of regimes.

    Args:
        name: The name of the study.
        base: The config of ``lightning-prune fit``, in full.
        seeds: The seeds of the dense runs.
        metric: The logged value that chooses the best epoch. None: the validation accuracy, else the validation loss.
        copies: How many times each pruned network is retrained, at least 2.
        points: How many points of the line between two copies are measured, at least 2.
        tolerance: The barrier that counts as none, at least 0.
        temperatures: The ways to train the dense network.
        densities: The fractions of the prunable weights that are left, in (0, 1].
        retrain: Changes to the base config for the retraining.
    """

    name: str
    base: Mapping[str, Any]
    seeds: tuple[int, ...]
    metric: str | None
    copies: int
    points: int
    tolerance: float
    temperatures: tuple[Temperature, ...]
    densities: tuple[float, ...]
    retrain: Mapping[str, Any]


def read_regimes(given: Mapping[str, Any] | str | Path) -> RegimesConfig:
    """Read the config of a study of regimes.

    Args:
        given: A YAML file, the name of one that comes with the package, or a mapping with the same keys.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a key is unknown or missing, or its value is out of range.

    Example:
        >>> base = {"trainer": {"max_epochs": 30}}
        >>> read_regimes({"base": base, "temperatures": {"trainer.max_epochs": [5, 30]}, "densities": [0.1]}).copies
        2
    """
    content, common = read_content(given, KEYS, "RegimeStudy")
    base = in_full(common.base)
    if base.get("start"):
        raise UserError(
            "RegimeStudy(base) has a `start`, and copies start from the weights of the dense run. Leave `start` out."
        )
    densities = content.get("densities")
    if not isinstance(densities, list | tuple) or not densities or not all(map(_is_density, densities)):
        raise UserError(f"RegimeStudy(densities={densities!r}) must be a list of fractions in (0, 1], such as [0.1].")
    if len(set(densities)) < len(densities):
        raise UserError(f"RegimeStudy(densities={densities!r}) names a density twice.")
    retrain = content.get("retrain") or {}
    kind = "be changes to the config by path, such as {pruning.retrain: 15ep}"
    require(isinstance(retrain, Mapping), "RegimeStudy", "retrain", retrain, kind)
    return RegimesConfig(
        common.name,
        base,
        common.seeds,
        common.metric,
        **numbers_of(content, "RegimeStudy"),
        temperatures=tuple(read_temperatures(content.get("temperatures"), base)),
        densities=tuple(sorted(map(float, densities))),
        retrain=dict(retrain),
    )


def read_content(
    given: Mapping[str, Any] | str | Path, keys: tuple[str, ...], owner: str
) -> tuple[dict[str, Any], StudyConfig]:
    """Read a file or a mapping, and what it has in common with the studies of ``lightning-prune ablate``.

    Args:
        given: The file or the mapping.
        keys: The keys that it may have.
        owner: Who asks, for errors.

    Returns:
        The content, and its name, base, seeds and metric.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a key is unknown.
    """
    content, name = given, "regimes"
    if isinstance(given, str | Path):
        path = config_file(given) or Path(given)
        content, name = read_yaml(path, "--config"), path.stem
        base = content.get("base")
        if isinstance(base, str) and (path.parent / base).is_file():
            content["base"] = str(path.parent / base)
    found = dict(content)  # type: ignore[arg-type]
    if unknown := sorted(str(key) for key in found if key not in keys):
        raise UserError(f"{owner}: there is no `{unknown[0]}`.{suggest(unknown[0], keys) or f' There are {keys}.'}")
    shared: dict[str, Any] = {key: found[key] for key in ("base", "seeds", "metric") if key in found}
    return found, read_study({**shared, "name": str(found.get("name") or name), "arms": {"dense": {}}})


def numbers_of(content: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The numbers of copies and points, and the tolerance.

    Args:
        content: The content of a study.
        owner: Who asks, for errors.

    Raises:
        ValueError: If one is out of range.
    """
    found = {"copies": content.get("copies", 2), "points": content.get("points", 11)}
    for name, value in found.items():
        if type(value) is not int or value < 2:
            raise UserError(f"{owner}({name}={value!r}) must be a whole number of at least 2.")
    tolerance = content.get("tolerance", 0.1)
    require(isinstance(tolerance, Real), owner, "tolerance", tolerance, "be a number of at least 0")
    check_at_least(owner, 0, {"tolerance": tolerance})
    return {**found, "tolerance": tolerance}


def _is_density(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
