"""Read the config of a study from a YAML file or from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.config.arms import Arm, read_arms
from lightning_prune.ablation.config.plain_values import plain, read_yaml
from lightning_prune.basics.config_files import config_file, shipped_file
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.visible import refuse_unseen

KEYS = ("name", "base", "arms", "seeds", "metric", "grid")


@dataclass(frozen=True)
class StudyConfig:
    """The config of a study: its base, its arms and its seeds.

    Args:
        name: The name of the study in the report.
        base: The config of ``lightning-prune fit`` that the arms change.
        arms: The arms to compare.
        seeds: The seeds, each once.
        metric: The logged value that chooses the best epoch. None: the validation accuracy, else the validation loss.
        given: The config as the user wrote it, with the base in it. A later run compares its own config with it.
    """

    name: str
    base: Config
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    metric: str | None
    given: Config


def read_study(given: Mapping[str, Any] | str | Path) -> StudyConfig:
    """Read the config of a study.

    Args:
        given: A YAML file, the name of a study that comes with the package, or a mapping with the same keys. ``base``
            is a config of ``lightning-prune fit``, the path of one, relative to the file, or the name of one that comes
            with the package. ``arms`` are as in :func:`read_arms`. ``seeds`` is a list of seeds, or their number.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a key is unknown or missing, or its value is out of range.

    Example:
        >>> read_study({"base": {"trainer": {"max_epochs": 3}}, "arms": {"a": {}}, "seeds": 2}).seeds
        (0, 1)
    """
    folder, name, source = Path(), "ablation", given if isinstance(given, str | Path) else None
    if isinstance(given, str | Path):
        path = config_file(given) or Path(given)
        folder, name = path.parent, path.stem
        given = read_yaml(path, "--config")
    if "trainer" in given and "arms" not in given:
        raise UserError(
            f"Ablation: {'this' if source is None else source} is the config of a run, without `base` and `arms`: "
            "lightning-prune fit --config=... trains it, and a study can name it as its `base`."
        )
    if unknown := sorted(str(key) for key in given if key not in KEYS):
        guess = suggest(unknown[0], KEYS) or f" There are {', '.join(KEYS)}."
        raise UserError(f"Ablation: there is no `{unknown[0]}`.{guess}")
    if missing := [key for key in ("base", "arms") if not given.get(key)]:
        raise UserError(f"Ablation: `{missing[0]}` is missing or empty. A study needs a base config and arms.")
    if not isinstance(given.get("metric"), str | None):
        raise UserError(f"Ablation(metric={given['metric']!r}) must be the name of a logged value.")
    return _checked(plain(given, ""), folder, name)


def _checked(given: Config, folder: Path, name: str) -> StudyConfig:
    base = given["base"]
    content = read_yaml(_base_file(folder, base), "Ablation(base)") if isinstance(base, str | Path) else base
    if not isinstance(content, Mapping):
        raise UserError(f"Ablation(base) must be a config of `lightning-prune fit` or the path of one, not {base!r}.")
    seeds = _read_seeds(given.get("seeds", 3))
    arms = tuple(read_arms(given["arms"], _read_grid(given)))
    named = {arm["name"]: arm for arm in given["arms"]} if isinstance(given["arms"], list) else given["arms"]
    whole = {**given, "base": dict(content), "arms": named, "seeds": list(seeds)}
    refuse_unseen(name := str(given.get("name") or name), "Ablation(name)")
    return StudyConfig(name, dict(content), arms, seeds, given.get("metric"), whole)


def _base_file(folder: Path, base: str | Path) -> Path:
    """Find a base config beside the study, or by its name among the configs that come with the package."""
    return folder / base if (folder / base).is_file() else shipped_file(str(base)) or folder / base


def _read_grid(given: Mapping[str, Any]) -> Mapping[str, Any]:
    grid = given.get("grid", {})
    if "grid" in given and not (isinstance(grid, Mapping) and grid):
        raise UserError(
            f"Ablation(grid={grid!r}) must give values by key, such as {{lr: [0.01, 0.1]}}, or be left out."
        )
    return dict(grid)


def _read_seeds(given: Any) -> tuple[int, ...]:
    seeds = list(range(given)) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(seeds, list | tuple) or not seeds or not all(type(one) is int and one >= 0 for one in seeds):
        raise UserError(f"Ablation(seeds={given!r}) must be how many, or a list of whole numbers, each at least 0.")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"Ablation(seeds={given!r}) names a seed twice.")
    return tuple(seeds)
