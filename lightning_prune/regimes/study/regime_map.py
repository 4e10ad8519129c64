"""The map of temperature and density that a study has measured: its table, its advice and its files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.regimes.advice import Advice, advise, choose
from lightning_prune.regimes.measured import Measured
from lightning_prune.regimes.study.cells import NUMBERS, best_of, cells_of, measured_of
from lightning_prune.regimes.study.maps import draw_maps
from lightning_prune.regimes.study.read_back import read_facts, read_pairs
from lightning_prune.regimes.study.regimes_page import write_regimes_page
from lightning_prune.regimes.study.words_of_advice import paragraph

RECORD, TABLE = "regimes.json", "regimes.csv"


@dataclass(frozen=True)
class RegimeMap:
    """What was measured at each temperature and density.

    Args:
        name: The name of the study.
        pairs: A row for each temperature, density, seed and pair of copies: ``lmc``, ``cka``, ``at``, and the means of
            both copies, ``train_error``, ``val_error`` and ``error`` (of the test data), as fractions.
        tolerance: The barrier that counts as none, at least 0.
    """

    name: str
    pairs: pd.DataFrame
    tolerance: float = 0.1

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row for each temperature and density: means over pairs and seeds, and the regime."""
        return cells_of(self.pairs, self.tolerance)

    @cached_property
    def best(self) -> pd.DataFrame:
        """A row for each density: the best temperature, the one that the rule chooses, and what the choice gains."""
        return best_of(self.pairs, self.cells)

    def family(self, density: float) -> list[Measured]:
        """All temperatures at one density.

        Args:
            density: One of the measured densities.

        Raises:
            ValueError: If it was not measured.
        """
        found = [row for row in self.cells.to_dict("records") if isclose(row["density"], density)]
        if not found:
            known = ", ".join(f"{one:g}" for one in sorted(self.cells["density"].unique()))
            raise UserError(f"density={density:g} was not measured in {self.name!r}. There are {known}.")
        return [measured_of(row) for row in found]

    def advise(self, density: float, temperature: Any = None, tolerance: float | None = None) -> Advice:
        """Say whether the temperature should go up or down for one density.

        Args:
            density: One of the measured densities.
            temperature: The name of the temperature to start from. None: the last one as written.
            tolerance: Another tolerance. None: that of the study.

        Raises:
            ValueError: If there is no such density or temperature.
        """
        family = self.family(density)
        names = [one.temperature for one in family]
        if temperature is not None and str(temperature) not in names:
            raise UserError(f"temperature={temperature!r} was not measured in {self.name!r}. There are {names}.")
        start = family[-1] if temperature is None else family[names.index(str(temperature))]
        return advise(start, family, self.tolerance if tolerance is None else tolerance)

    def choose(self, density: float) -> Measured:
        """Choose the temperature whose network to prune to one density.

        Args:
            density: One of the measured densities.
        """
        return choose(self.family(density), tolerance=self.tolerance)

    def sentences(self) -> list[str]:
        """The advice for every density in words, and a note on the rules."""
        return paragraph(self.cells, self.best, self.tolerance)

    def write(self, folder: Path) -> Path:
        """Write the tables, the maps and the page.

        Args:
            folder: The folder of the study.

        Returns:
            The page.
        """
        write_whole(folder / TABLE, lambda aside: self.pairs.to_csv(aside, index=False))
        write_whole(folder / "regimes.parquet", lambda aside: self.pairs.to_parquet(aside, index=False))
        write_whole(folder / RECORD, json.dumps({"name": self.name, "tolerance": self.tolerance}))
        tables: Sequence[tuple[str, pd.DataFrame]] = [
            ("The best temperature at each density", self.best),
            ("Every cell", self.cells),
        ]
        return write_regimes_page(folder / "report", self.name, self.sentences(), draw_maps(self.cells), tables)

    @staticmethod
    def read(folder: str | Path) -> "RegimeMap":
        """Read the map of a study that was run.

        Args:
            folder: The folder of the study.

        Raises:
            FileNotFoundError: If there is none.
        """
        record, table = Path(folder, RECORD), Path(folder, TABLE)
        if not record.is_file() or not table.is_file():
            raise UserError(
                f"{folder} holds no finished study of regimes: {RECORD} or {TABLE} is missing. Run it first: "
                "lightning-prune regimes --config STUDY --out FOLDER."
            )
        known = read_facts(record, {"name": str, "tolerance": (int, float)})
        pairs = read_pairs(table, "temperature", ("density", "seed", *NUMBERS))
        return RegimeMap(known["name"], pairs, known["tolerance"])
