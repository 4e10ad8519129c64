"""Run a study of regimes or of stability for the command line, and print its advice."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.text import Text

from lightning_prune.ablation.config.plain_values import read_yaml
from lightning_prune.ablation.report.words import plural
from lightning_prune.ablation.results.failed_runs import RunsFailed
from lightning_prune.ablation.training.failures import DiskFull
from lightning_prune.basics.config_files import config_file
from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.advice import most_similar
from lightning_prune.regimes.measured import caveat_of
from lightning_prune.regimes.study.regime_map import TABLE, RegimeMap
from lightning_prune.regimes.study.regime_study import RegimeStudy
from lightning_prune.regimes.study.rewind_points import RECORD, Stability, read_stability, run_stability


def run_regimes(options: Namespace, arguments: Sequence[str]) -> None:
    """Run the study that the arguments name, or print what a finished one advises.

    Args:
        options: The arguments, parsed.
        arguments: The words of the command, without ``regimes``.

    Raises:
        ValueError: If there is neither a study nor a folder, or both.
    """
    if (options.config is None) is (options.advise is None):
        raise UserError("`regimes` takes --config STUDY to run a study, or --advise FOLDER for what one has found.")
    console = Console()
    if options.advise is not None:
        for line in advice(Path(options.advise), options.density, options.temperature):
            _say(console, line)
        return
    words = shlex.join(["lightning-prune", "regimes", *arguments])
    try:
        _run(options, console, words)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns a KeyboardInterrupt into a SystemExit.
        sys.exit(f"\nInterrupted. Finished networks are kept. To go on:\n  {words}")
    except (DiskFull, RunsFailed) as error:
        sys.exit(f"lightning-prune regimes: {error}")


def advice(folder: Path, density: float | None = None, temperature: str | None = None) -> list[str]:
    """What a finished study advises, in lines.

    Args:
        folder: The folder of the study.
        density: One density. None: all.
        temperature: The temperature to start from. None: the last one as written.

    Raises:
        ValueError: If the folder has no such study, or the density or the temperature was not measured.
    """
    if (folder / RECORD).is_file():
        return [str(Stability.read(folder))]
    found = RegimeMap.read(folder)
    if density is None:
        return found.sentences()
    family = found.family(density)
    chosen = most_similar(family, tolerance=found.tolerance)
    caveat = caveat_of(chosen, family)
    said = f"Prune the network of {chosen.temperature}. {caveat}".rstrip()
    return [said, str(found.advise(density, temperature))]


def _run(options: Namespace, console: Console, words: str) -> None:
    path = config_file(options.config) or Path(options.config)
    out = Path(options.out or Path("runs", "regimes", path.stem))
    is_stability = "at" in read_yaml(path, "--config")
    if is_stability:
        ablation = read_stability(path)[2]
        seeds = len(ablation.config.seeds)
        plan = f"{plural(seeds, 'dense run')}, {len(ablation.config.arms) * seeds} children."
    else:
        study = RegimeStudy.from_config(path)
        ablation, plan = study.dense, study.plan()
    if options.dry_run:
        console.print(ablation.tree())
    _say(console, plan)
    if options.dry_run:
        return
    given = _given(options, words)
    if is_stability:
        _say(console, str(run_stability(path, out, **given)))
        _say(console, f"Written: {out / 'stability.csv'}.")
        return
    study.run(out, **given)
    for line in study.map.sentences():
        _say(console, line)
    _say(console, f"Written: {out / TABLE}, and a page with maps: {out / 'report' / 'index.html'}.")


def _given(options: Namespace, words: str) -> dict[str, Any]:
    names = ("workers", "engine", "force", "every")
    ray = ("address", "gpus", "cpus") if options.engine == "ray" else ()
    return {"command": words, **{name: options[name] for name in (*names, *ray)}}


def _say(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
