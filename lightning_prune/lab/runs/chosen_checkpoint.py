"""Find the checkpoint of ``--ckpt_path``, check it, and find its run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lightning_prune.basics.checkpoints import refuse_other_parts, why_unreadable
from lightning_prune.basics.file_names import LAST, METRICS
from lightning_prune.basics.user_error import NothingThere, UserError

CHECKPOINTS = "checkpoints"


def find_checkpoint(given: str, roots: Sequence[Path]) -> Path:
    """Find the checkpoint that ``--ckpt_path`` means.

    Args:
        given: A path, or ``last`` for the newest last.ckpt in or below ``roots``.
        roots: Folders that hold run folders, or checkpoints themselves.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
    """
    if given != "last":
        if not Path(given).exists():
            raise NothingThere(f"`--ckpt_path {given}` does not exist. Give a checkpoint, or `last`.")
        return Path(given)
    patterns = (f"*/{CHECKPOINTS}/{LAST}", f"{CHECKPOINTS}/{LAST}", LAST)
    candidates = [path for root in roots for pattern in patterns for path in root.glob(pattern)]
    if not candidates:
        raise NothingThere(
            f"`--ckpt_path last`: no run in {' or '.join(map(str, roots))} has a {CHECKPOINTS}/{LAST}. Give the path "
            "of a checkpoint, or leave it out to start a new run."
        )
    return max(candidates, key=lambda path: path.stat().st_mtime)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without the data of its tensors, to check that it is one.

    Args:
        path: A file that Lightning saved. A folder, as sharded strategies save it, is not checked.

    Returns:
        The content of the checkpoint. Empty for a folder.

    Raises:
        ValueError: If the file is no checkpoint of Lightning.
    """
    if path.is_dir():
        return {}
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # a file that is not a checkpoint can raise any error
        raise UserError(f"`--ckpt_path {path}` cannot be read: {why_unreadable(error)}") from error
    if not isinstance(content, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise UserError(f"`--ckpt_path {path}` is no checkpoint of a Trainer. Give one from a `{CHECKPOINTS}` folder.")
    refuse_other_parts(content, f"`--ckpt_path {path}` cannot be read")
    return content


def run_of(checkpoint: Path) -> Path | None:
    """The run folder of a checkpoint. None if the checkpoint lies in no run folder."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == CHECKPOINTS and (folder / METRICS).is_file() else None
