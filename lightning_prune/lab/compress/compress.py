"""Run the fit that makes a network small, save and export the network, and set it beside the dense one."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_prune.callbacks.companions.shrink import Shrink
from lightning_prune.deployment.export import export
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.compress.before_and_after import before_and_after
from lightning_prune.lab.compress.fit_config import SMALL
from lightning_prune.lab.runs.first_batch import batch_of


def compress(config: str, words: Sequence[str], weights: Path | None, export_to: Path | None) -> bool:
    """Run the fit, write the small network into the folder of the run, export it, and print what was gained.

    Args:
        config: The config of the fit, as YAML.
        words: Further options of ``fit``.
        weights: The trained weights. None: the fit begins with the dense run, and a checkpoint keeps its network.
        export_to: A file for another runtime. None: there is none.

    Returns:
        Whether the exported file computes what the network computes. True without one.
    """
    fit = CommandLine(["fit", f"--config={config}", *words])
    folder = Path(str(fit.trainer.log_dir))
    if not fit.trainer.is_global_zero:
        return True
    callbacks: list[Any] = fit.trainer.callbacks  # type: ignore[attr-defined]
    (shrink,) = [one for one in callbacks if isinstance(one, Shrink)]
    dense = weights or next(folder.glob("checkpoints/cycle=00-*-last.ckpt"))
    said = before_and_after(folder, dense, fit.model, fit.datamodule)
    sys.stdout.write(f"\n{shrink.shrunk}\n\n{said}\n\nWritten: {folder / SMALL}\n")
    return export_to is None or _exported(fit.model, fit.datamodule, export_to)


def _exported(module: Any, data: Any, path: Path) -> bool:
    done = export(module, path, example=batch_of(module, data))
    sys.stdout.write(f"\n{done}\n")
    return done.is_right
