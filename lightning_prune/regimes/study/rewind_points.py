"""Find from which point on a dense run is stable: two children on other data orders end up connected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import pandas as pd
from rich.progress import Progress

from lightning_prune.ablation.study import Ablation
from lightning_prune.basics.user_error import UserError
from lightning_prune.basics.write_whole import write_whole
from lightning_prune.lab.cli.sections import in_full
from lightning_prune.regimes.study.pairs import Measuring, measured_pairs
from lightning_prune.regimes.study.read_back import read_facts, read_pairs
from lightning_prune.regimes.study.regime_study import STORE, errors_of
from lightning_prune.regimes.study.regimes_config import numbers_of, read_content
from lightning_prune.schedules.durations import parse_duration

KEYS = ("name", "base", "seeds", "metric", "copies", "points", "tolerance", "at")
RECORD, TABLE = "stability.json", "stability.csv"
TOLERANCE = 0.02  # the margin for noise that notes on the paper report; its own text was not available


@dataclass(frozen=True)
class Stability:
    """Which points of a dense run were stable.

    Args:
        pairs: A row for each point, seed and pair of children: ``point``, ``lmc``, ``cka``, and their errors.
        tolerance: The barrier that counts as none, at least 0, as a fraction of the training examples.
    """

    pairs: pd.DataFrame
    tolerance: float = TOLERANCE

    @property
    def points(self) -> pd.DataFrame:
        """A row for each point, in order: the mean and the worst LMC over seeds, the test error, and ``stable``.

        A point is stable if the mean LMC there, and at every later point, is at least ``-tolerance``.
        """
        seeds = self.pairs.groupby(["point", "seed"], sort=False)[["lmc", "cka", "error"]].mean().reset_index()
        grouped = seeds.groupby("point", sort=False)
        found = grouped[["lmc", "cka", "error"]].mean().reset_index()
        found["worst_lmc"] = grouped["lmc"].min().to_numpy()
        connected = found["lmc"] >= -self.tolerance
        return found.assign(stable=connected[::-1].cummin()[::-1])

    @property
    def earliest(self) -> str | None:
        """The earliest stable point, for ``WeightRewind(to=...)``. None if no measured point is stable.

        Example:
            >>> pairs = pd.DataFrame({"point": ["0ep", "5ep"], "seed": 0, "lmc": [-0.4, 0.0], "cka": 1.0, "error": 0.1})
            >>> Stability(pairs).earliest
            '5ep'
        """
        stable = self.points[self.points["stable"]]
        return None if stable.empty else str(stable["point"].iloc[0])

    def __str__(self) -> str:
        listed = ", ".join(f"{row.point}: {row.lmc:+.3f}" for row in self.points.itertuples())
        if self.earliest is None:
            return f"No measured point is stable (LMC {listed}; tolerance {self.tolerance:g}). Measure later points."
        measured = f"LMC {listed}; tolerance {self.tolerance:g}"
        return f"Stable from {self.earliest} on ({measured}): WeightRewind(to='{self.earliest}')."

    @staticmethod
    def read(folder: str | Path) -> "Stability":
        """Read what a study has measured.

        Args:
            folder: The folder of the study.
        """
        known = read_facts(Path(folder, RECORD), {"tolerance": (int, float)})
        return Stability(read_pairs(Path(folder, TABLE), "point", ("seed", "lmc", "cka", "error")), known["tolerance"])


def stability(
    dense_run: Mapping[str, Any] | str | Path,
    at: Sequence[str | int] = (),
    out: str | Path = "runs/stability",
    seeds: int | Sequence[int] = 1,
    tolerance: float = TOLERANCE,
    copies: int = 2,
    **options: Any,
) -> Stability:
    """Train children of a dense run from several of its points, on the data in other orders, and measure their barrier.

    Nothing is pruned. A child goes on from the weights and the momentum of the point to the end of the dense run, with
    its learning rates. The dense run is trained once for all points.

    Reference: Frankle, Dziugaite, Roy & Carbin, Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020,
    https://arxiv.org/abs/1912.05671. It calls a network stable whose children are connected. That a barrier of less
    than 2 points counts as none there was read in notes on the paper, not in its text.

    Args:
        dense_run: The config of the dense run: that of ``lightning-prune fit``, as a mapping, a file or a name.
        at: The points, each before the end of the dense run: ``"0ep"``, ``"500it"``.
        out: The folder of the study. What is finished there is not trained again.
        seeds: How many dense runs, or a list of their seeds.
        tolerance: The barrier that counts as none, at least 0, as a fraction of the training examples.
        copies: How many children each point has, at least 2.
        options: Arguments of :meth:`~lightning_prune.ablation.Ablation.run`, such as ``workers``.

    Returns:
        What was measured. ``earliest`` is the earliest stable point.

    Raises:
        ValueError: If there is no point, or one is no duration or does not lie before the end of the dense run.
    """
    content = {"base": dense_run, "at": list(at), "seeds": seeds, "tolerance": tolerance, "copies": copies}
    return run_stability(content, out, **options)


def run_stability(given: Mapping[str, Any] | str | Path, out: str | Path, **options: Any) -> Stability:
    """Run the study of a config with ``base`` and ``at``.

    Args:
        given: The config, a file or a name.
        out: The folder of the study.
        options: Arguments of :meth:`~lightning_prune.ablation.Ablation.run`.
    """
    content, numbers, study = read_stability(given)
    out, points = Path(out), content["at"]
    table = errors_of(study.run(out / "children", store=out / STORE, **options))
    rows = {(row["arm"], row["seed"]): row for row in table[table["cycle"] == 1].to_dict("records")}
    pairs = []
    with Progress(transient=True) as progress:
        bar = progress.add_task("measuring", total=len(study.config.seeds) * len(points) * comb(numbers["copies"], 2))
        for seed in study.config.seeds:
            children = [
                {"point": str(point), "seed": seed, "copy": copy, **rows[_arm(point, copy), seed]}
                for point, copy in product(points, range(1, numbers["copies"] + 1))
            ]
            measuring = Measuring(study.runs[0].resolved.config, seed, numbers["points"], out / "measured")
            tell = partial(progress.advance, bar)
            pairs.append(measured_pairs(pd.DataFrame(children), ["point", "seed"], measuring, out / "children", tell))
    found = Stability(pd.concat(pairs, ignore_index=True), numbers["tolerance"])
    write_whole(out / TABLE, lambda aside: found.pairs.to_csv(aside, index=False))
    write_whole(
        out / RECORD, json.dumps({"tolerance": found.tolerance, "earliest": found.earliest, "says": str(found)})
    )
    return found


def read_stability(given: Mapping[str, Any] | str | Path) -> tuple[dict[str, Any], dict[str, Any], Ablation]:
    """Read the config of a study of stability.

    Args:
        given: The config, a file or a name.

    Returns:
        Its content, its numbers, and the ablation that trains the children.

    Raises:
        ValueError: If there is no point, or one is no duration, comes twice, or does not lie before the end.
    """
    content, common = read_content(given, KEYS, "stability")
    if not isinstance(content.get("at"), list | tuple) or not content["at"]:
        raise UserError(f"stability(at={content.get('at')!r}) must be a list of points, such as ['0ep', '1ep', '5ep'].")
    base = in_full(common.base)
    _check_points(content["at"], (base.get("trainer") or {}).get("max_epochs"))
    numbers = numbers_of({"tolerance": TOLERANCE, **content}, "stability")
    listed = (base.get("trainer") or {}).get("callbacks") or []
    arms = {
        _arm(point, copy): _child(point, copy, listed)
        for point, copy in product(content["at"], range(1, numbers["copies"] + 1))
    }
    study = {"name": common.name, "base": base, "arms": arms, "seeds": list(common.seeds)}
    return content, numbers, Ablation.from_config({**study, **({"metric": common.metric} if common.metric else {})})


def _check_points(points: Sequence[Any], epochs: Any) -> None:
    found = [parse_duration(point, "stability(at") for point in points]
    for point, duration in zip(points, found, strict=True):
        if found.count(duration) > 1:
            raise UserError(f"stability(at={list(points)!r}) names the point {point!r} twice.")
        if duration.unit == "ep" and isinstance(epochs, int) and duration.amount >= max(epochs, 1):
            raise UserError(
                f"stability(at={list(points)!r}): {point!r} does not lie before the end of the dense run of {epochs} "
                "epochs, so that nothing is left to train. Give earlier points."
            )


def _arm(point: str | int, copy: int) -> str:
    return f"from {point}, child {copy}"


def _child(point: str | int, copy: int, listed: Sequence[Any]) -> dict[str, Any]:
    nothing = {"class_path": "OneShot", "init_args": {"final": 0.0}}
    rewind = {"to": point, "moments": "rewind"}
    return {
        "pruning": {"class_path": "IterativePruning", "init_args": {"cycles": 1, "sparsity": nothing}},
        "policy": None,
        "start": {"class_path": "WeightRewind", "init_args": rewind},
        "trainer.callbacks": [*listed, {"class_path": "lightning_prune.DataOrder", "init_args": {"seed": copy}}],
    }
