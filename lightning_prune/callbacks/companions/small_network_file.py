"""Write the small network at the end of a fit, into the folder of the run."""

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info

from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.removal import Shrunk
from lightning_prune.shrinking.small_file import is_small_file


def check_name(save: str | Path | None) -> None:
    """Refuse a name by which no command would know the file.

    Args:
        save: The file. None: nothing is written.

    Raises:
        UserError: If the name has another ending.

    Example:
        >>> check_name("small.safetensors")
    """
    if save is not None and not is_small_file(save):
        raise UserError(
            f"Shrink(save={str(save)!r}) must end in .safetensors, by which the commands know the file of a small "
            "network: save='small.safetensors'."
        )


def write_at_end(trainer: "pl.Trainer", shrunk: Shrunk, save: str | Path) -> None:
    """Write the small network on the first process, and say where. A ``fast_dev_run`` writes nothing.

    Args:
        trainer: The trainer. All processes call this.
        shrunk: The small network.
        save: The file. A relative path begins in the folder of the run.
    """
    folder = trainer.log_dir  # asks all processes
    if trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
        return
    path = Path(folder or trainer.default_root_dir, save)
    path.parent.mkdir(parents=True, exist_ok=True)
    shrunk.save(path)
    rank_zero_info(f"The small network is in {path}")
