"""Find the folders for runs in a Trainer's settings, and the words that resume a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger


def loggers_of(settings: Mapping[str, Any]) -> list[Logger]:
    """List the loggers in the settings of a Trainer.

    Args:
        settings: The arguments of the Trainer.

    Returns:
        None, one or more loggers, as a list.
    """
    given = settings["logger"]
    return [one for one in (given if isinstance(given, list | tuple) else [given]) if isinstance(one, Logger)]


def checkpoint_roots(settings: Mapping[str, Any], callbacks: Sequence[Callback]) -> list[Path]:
    """List the folders that hold the runs of a Trainer with these settings.

    Args:
        settings: The arguments of the Trainer.
        callbacks: Its callbacks.

    Returns:
        A folder for each logger, and the folders in which the user's own callbacks save checkpoints.
    """
    own = [one.dirpath for one in callbacks if isinstance(one, ModelCheckpoint) and one.dirpath is not None]
    root = Path(settings["default_root_dir"] or ".")
    loggers = [Path(one.save_dir or root, str(one.name or "")) for one in loggers_of(settings)]
    usual = [root / "lightning_logs"] if settings["logger"] in (None, True) else []
    return list(dict.fromkeys([*map(Path, own), *loggers, *usual])) or [root]


def last_checkpoint(trainer: Trainer) -> str:
    """The path of the newest checkpoint that a Trainer saved. Empty if there is none."""
    saving = [one for one in trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint)]
    return next((path for one in saving if (path := one.last_model_path or one.best_model_path)), "")


def resuming(words: Sequence[str], checkpoint: str) -> list[str]:
    """Change a command to resume from a checkpoint.

    Args:
        words: The command and its arguments.
        checkpoint: The checkpoint. It replaces a checkpoint in the words.

    Returns:
        The words.

    Example:
        >>> resuming(["fit", "--ckpt_path", "last", "--config=a.yaml"], "b.ckpt")
        ['fit', '--config=a.yaml', '--ckpt_path=b.ckpt']
    """
    previous = ["", *words]
    kept = [
        word
        for word, before in zip(words, previous, strict=False)
        if not (word.startswith("--ckpt_path=") or "--ckpt_path" in (word, before))
    ]
    return [*kept, f"--ckpt_path={checkpoint}"]
