"""Measure pairs of copies by their checkpoints. What is measured is kept, so that a study goes on where it stopped."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from lightning_prune.ablation.planning.resolving import parse, with_seed
from lightning_prune.ablation.storage.files import read_json
from lightning_prune.basics.random_state import forked
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.runs.quiet import quiet
from lightning_prune.regimes.barriers import barrier
from lightning_prune.regimes.similarity import cka


@dataclass(frozen=True)
class Pair:
    """What was measured between two copies.

    Args:
        lmc: Linear mode connectivity, of training errors as fractions.
        cka: Similarity of their probabilities, in [0, 1].
        at: The place on the line that differs most from the ends, in [0, 1].
        train_error: The mean of the training errors of both, as a fraction.
        values: The training error along the line.
    """

    lmc: float
    cka: float
    at: float
    train_error: float
    values: tuple[float, ...]


class Measuring:
    """Measure copies of networks of one config and seed. Network and data are made when the first pair needs them.

    Args:
        config: The config of ``lightning-prune fit`` that the copies were trained with.
        seed: The seed of the dense run.
        points: How many points of the line are measured, at least 2.
        kept: The folder of what was measured already.
    """

    def __init__(self, config: Mapping[str, Any], seed: int, points: int, kept: Path) -> None:
        self._config, self._seed, self._points, self._kept = config, seed, points, kept
        self._made: tuple[nn.Module, Any] | None = None

    def pair(self, a: Path, b: Path, names: tuple[str, str]) -> Pair:
        """Measure two copies, or read what was measured.

        Args:
            a: The checkpoint of the first.
            b: That of the second.
            names: Names of both that tell their contents, such as the keys of nodes.
        """
        file = self._kept / f"{names[0]}-{names[1]}-{self._points}.json"
        if not file.is_file():
            write_whole(file, json.dumps(asdict(self._measured(a, b)), indent=1))
        found = read_json(file)
        return Pair(**{**found, "values": tuple(found["values"])})

    def _measured(self, a: Path, b: Path) -> Pair:
        if self._made is None:
            self._made = _made(self._config, self._seed)
        network, data = self._made
        line = barrier(a, b, data, points=self._points, network=network)
        return Pair(line.lmc, cka(a, b, data, network=network), line.at, line.ends, line.values)


def measured_pairs(
    copies: pd.DataFrame, cell: list[str], measuring: Measuring, folder: Path, tell: Callable[[], None]
) -> pd.DataFrame:
    """Measure all pairs of copies in each cell.

    Args:
        copies: A row for each copy, with ``copy``, ``checkpoint``, ``node``, ``error`` and ``val_error``.
        cell: The columns that tell the cells.
        measuring: Measures a pair.
        folder: The folder that the checkpoints are relative to.
        tell: Called after each pair.

    Returns:
        A row for each pair, with the mean errors of both copies.
    """
    rows = []
    for values, group in copies.groupby(cell, sort=False):
        for a, b in combinations(group.to_dict("records"), 2):
            found = measuring.pair(folder / a["checkpoint"], folder / b["checkpoint"], (a["node"], b["node"]))
            errors = {name: (a[name] + b[name]) / 2 for name in ("error", "val_error")}
            measured = {name: getattr(found, name) for name in ("lmc", "cka", "at", "train_error")}
            pair = {"copy_a": a["copy"], "copy_b": b["copy"]}
            rows.append({**dict(zip(cell, values, strict=True)), **pair, **measured, **errors})
            tell()
    return pd.DataFrame(rows)


def _made(config: Mapping[str, Any], seed: int) -> tuple[nn.Module, Any]:
    """The network and the data of a config, as a fit makes them."""
    with quiet(), forked(seed):
        made = parse(with_seed(config, seed), "RegimeStudy(base)")
        device = made.trainer.strategy.root_device
        if made.datamodule is not None:
            made.datamodule.prepare_data()
            made.datamodule.setup("fit")
    data = made.datamodule if made.datamodule is not None else made.model.train_dataloader()
    return made.model.to(device if device.type != "cuda" or torch.cuda.is_available() else "cpu"), data
