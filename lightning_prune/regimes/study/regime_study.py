"""Train, prune, retrain and measure over temperatures and densities with `RegimeStudy`."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from rich.progress import Progress

from lightning_prune.ablation.report.words import plural
from lightning_prune.ablation.study import Ablation
from lightning_prune.lab.metric_names import lower_is_better
from lightning_prune.regimes.advice import Advice
from lightning_prune.regimes.study.dense_networks import dense_ablation, write_starts
from lightning_prune.regimes.study.pairs import Measuring, measured_pairs
from lightning_prune.regimes.study.regime_map import RegimeMap
from lightning_prune.regimes.study.regimes_config import RegimesConfig, read_regimes
from lightning_prune.regimes.study.retrained_copies import copy_name, retrained_ablation

STORE = "store"  # the nodes of all parts of the study


class RegimeStudy:
    """Map how well a network prunes, over the temperature of its dense run and the density.

    Each dense network is pruned in one shot to each density, and retrained several times on the data in other orders.
    Pairs of these copies are measured. Dense runs and copies are nodes of two studies of ``lightning-prune ablate``:
    what was trained is not trained again, and the folder may be used by several processes or by Ray.

    Reference: Zhou, Yang, Chang & Mahoney, A Three-regime Model of Network Pruning, 2023,
    https://arxiv.org/abs/2305.18383.

    Args:
        config: The config of the study. See :func:`~lightning_prune.regimes.study.regimes_config.read_regimes`.

    Example:
        >>> base = {"trainer": {"max_epochs": 30}}
        >>> config = {"base": base, "temperatures": {"trainer.max_epochs": [5, 30]}, "densities": [0.05, 0.5]}
        >>> RegimeStudy.from_config(config).plan()
        '3 dense runs, 24 retrained copies, 12 pairs to measure.'
    """

    def __init__(self, config: RegimesConfig) -> None:
        self.config = config
        self._map: RegimeMap | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> "RegimeStudy":
        """Read a study from a YAML file, from the name of one that comes with the package, or from a mapping.

        Args:
            config: The file or the mapping.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If a key is unknown or missing, or a value is out of range.
        """
        return cls(read_regimes(config))

    def plan(self) -> str:
        """Say in words what would be trained and measured."""
        config = self.config
        runs = len({(one.name if one.changes else "") for one in config.temperatures}) * len(config.seeds)
        cells = len(config.temperatures) * len(config.densities) * len(config.seeds)
        pairs = cells * config.copies * (config.copies - 1) // 2
        copies = f"{cells * config.copies} retrained copies"
        return f"{plural(runs, 'dense run')}, {copies}, {plural(pairs, 'pair')} to measure."

    @property
    def dense(self) -> Ablation:
        """The study of the dense runs."""
        return dense_ablation(self.config)

    def run(self, out: str | Path, **options: Any) -> pd.DataFrame:
        """Train what is not trained yet, measure what is not measured yet, and write tables, maps and the page.

        Args:
            out: The folder of the study.
            options: Arguments of :meth:`~lightning_prune.ablation.Ablation.run`, such as ``workers``, ``engine`` or
                ``force``.

        Returns:
            The tidy table: a row for each temperature, density, seed and pair of copies.

        Raises:
            ValueError: If an arm cannot be trained as it is written, or the folder belongs to another study.
            RunsFailed: If runs failed.
        """
        out, config = Path(out), self.config
        dense = self.dense.run(out / "dense", store=out / STORE, **options)
        starts = write_starts(config, dense, out / "dense", out / "starts")
        pairs = []
        with Progress(transient=True) as progress:
            cells = len(config.temperatures) * len(config.densities) * config.copies * (config.copies - 1) // 2
            for seed in config.seeds:
                folder = out / "retrained" / f"seed={seed}"
                retrained = retrained_ablation(config, seed, starts)
                copies = _copies(config, retrained.run(folder, store=out / STORE, **options), seed)
                measuring = Measuring(_config_of(retrained), seed, config.points, out / "measured")
                bar = progress.add_task(f"measuring seed {seed}", total=cells)
                pairs.append(
                    measured_pairs(
                        copies, ["temperature", "density", "seed"], measuring, folder,
                        lambda bar=bar: progress.advance(bar),  # type: ignore[misc]
                    )
                )  # fmt: skip
        self._map = RegimeMap(config.name, pd.concat(pairs, ignore_index=True), config.tolerance)
        self._map.write(out)
        return self._map.pairs

    @property
    def map(self) -> RegimeMap:
        """What the last :meth:`run` measured.

        Raises:
            RuntimeError: If :meth:`run` was not called yet.
        """
        if self._map is None:
            raise RuntimeError("RegimeStudy has measured nothing before RegimeStudy.run(out).")
        return self._map

    def advise(self, density: float, temperature: Any = None, tolerance: float | None = None) -> Advice:
        """Say whether the temperature should go up or down. See :meth:`RegimeMap.advise`.

        Args:
            density: One of the measured densities.
            temperature: The name of the temperature to start from. None: the last one as written.
            tolerance: Another tolerance. None: that of the study.
        """
        return self.map.advise(density, temperature, tolerance)


def errors_of(table: pd.DataFrame) -> pd.DataFrame:
    """Add the test and validation errors to the table of a study. Metrics that should be low are taken as they are.

    Args:
        table: The table, with ``test_last``, ``val_last`` and ``metric``.

    Example:
        >>> table = pd.DataFrame({"test_last": [0.75], "val_last": [0.5], "metric": ["val/accuracy"]})
        >>> errors_of(table)[["error", "val_error"]].values.tolist()
        [[0.25, 0.5]]
    """
    metrics = table["metric"].dropna()
    is_low = len(metrics) > 0 and lower_is_better(str(metrics.iloc[0]))
    columns = {"error": table["test_last"], "val_error": table["val_last"]}
    return table.assign(**{name: values if is_low else 1 - values for name, values in columns.items()})


def _copies(config: RegimesConfig, table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The copies of a seed, with what they are copies of, in the order of the config."""
    rows = errors_of(table[table["cycle"] == 1]).set_index("arm")
    found = []
    for temperature, density, copy in product(config.temperatures, config.densities, range(1, config.copies + 1)):
        row = rows.loc[copy_name(temperature.name, density, copy)]
        kept = {name: row[name] for name in ("checkpoint", "node", "error", "val_error")}
        found.append({"temperature": temperature.name, "density": density, "seed": seed, "copy": copy, **kept})
    return pd.DataFrame(found)


def _config_of(ablation: Ablation) -> Mapping[str, Any]:
    """The config of the first copy. Network and data are those of all of them."""
    config: Mapping[str, Any] = ablation.runs[0].resolved.config
    return config
