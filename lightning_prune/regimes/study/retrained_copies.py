"""Prune each dense network to each density, and retrain copies that differ in the order of their data only."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from lightning_prune.ablation.study import Ablation
from lightning_prune.regimes.study.regimes_config import RegimesConfig

POLICY = "DenseScheduleRestart"  # what retraining means in the paper: the schedule of the dense run, from its start


def copy_name(temperature: str, density: float, copy: int) -> str:
    """The arm of a copy.

    Example:
        >>> copy_name("10 epochs", 0.06, 1)
        '10 epochs, density 0.06, copy 1'
    """
    return f"{temperature}, density {density:g}, copy {copy}"


def retrained_ablation(config: RegimesConfig, seed: int, starts: Mapping[tuple[str, int], Path]) -> Ablation:
    """The study of the copies of one seed: an arm for each temperature, density and copy.

    Args:
        config: The study of regimes.
        seed: The seed of the dense runs.
        starts: The dense networks by temperature and seed.
    """
    cells = product(config.temperatures, config.densities, range(1, config.copies + 1))
    arms = {
        copy_name(one.name, density, copy): _changes(config, starts[one.name, seed], density, 1000 * seed + copy)
        for one, density, copy in cells
    }
    return Ablation.from_config(
        {"name": f"{config.name}: retrained, seed {seed}", "base": dict(config.base), "arms": arms, "seeds": [seed],
         **({"metric": config.metric} if config.metric else {})}
    )  # fmt: skip


def _changes(config: RegimesConfig, start: Path, density: float, order: int) -> dict[str, Any]:
    sparsity = {"class_path": "OneShot", "init_args": {"final": round(1 - density, 10)}}
    pruning = {"cycles": 1, "sparsity": sparsity, "dense_run": str(start.resolve())}
    given = config.base.get("pruning")
    known = {f"pruning.{name}": value for name, value in pruning.items()}
    listed = (config.base.get("trainer") or {}).get("callbacks") or []
    callbacks = [*listed, {"class_path": "lightning_prune.DataOrder", "init_args": {"seed": order}}]
    return {
        **({} if config.base.get("policy") else {"policy": POLICY}),
        **(known if given else {"pruning": {"class_path": "IterativePruning", "init_args": pruning}}),
        **config.retrain,
        "trainer.max_epochs": 0,
        "trainer.callbacks": callbacks,
    }
