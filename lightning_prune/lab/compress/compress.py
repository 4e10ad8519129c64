"""Run the fit that makes a network small, save and export the network, and set it beside the dense one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_prune.callbacks.companions.shrink import Shrink
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.compress.fit_config import SMALL


def compress(config: str, words: Sequence[str] = (), export_to: str | None = None) -> Path:
    """Run the fit, and write the small network into the folder of the run.

    Args:
        config: The config of the fit, as YAML.
        words: Further options of ``fit``.
        export_to: A file for another runtime.

    Returns:
        The file of the small network.
    """
    fit = CommandLine(["fit", f"--config={config}", *words])
    callbacks: list[Any] = fit.trainer.callbacks  # type: ignore[attr-defined]
    (shrink,) = [one for one in callbacks if isinstance(one, Shrink)]
    file = Path(str(fit.trainer.log_dir), SMALL)
    shrink.shrunk.save(file)
    return file
