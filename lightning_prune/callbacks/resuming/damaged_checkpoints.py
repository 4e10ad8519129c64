"""Refuse a damaged checkpoint before anything of it is used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune.basics.checkpoints import find_damage as find_damage
from lightning_prune.basics.checkpoints import newest_whole as newest_whole
from lightning_prune.basics.checkpoints import refuse_damaged_file, why_unreadable
from lightning_prune.basics.saved_state import refuse_mangled
from lightning_prune.basics.user_error import UserError

_RESUME = "IterativePruning cannot resume from"


def check_before_loading(strategy: Strategy, then: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Let a strategy refuse damaged checkpoints before it loads them.

    No hook of a callback will do: when Lightning calls ``setup`` it has not yet said from which file it resumes, and
    the next hook comes after loading.

    Args:
        strategy: The Trainer's strategy.
        then: Is called with the content of a checkpoint before Lightning loads anything of it.

    Returns:
        What undoes it.
    """
    load = strategy.load_checkpoint

    def checked(checkpoint_path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        refuse_damaged(checkpoint_path)
        if not isinstance(checkpoint_path, str | Path) or not Path(checkpoint_path).is_file():
            return load(checkpoint_path, *args, **options)
        try:
            found = load(checkpoint_path, *args, **options)
        except (UnpicklingError, EOFError, LookupError, RecursionError, UnicodeDecodeError) as error:
            raise UserError(f"{_RESUME} '{checkpoint_path}': {why_unreadable(error)}") from error
        # A strategy that shards has loaded the weights by now, and does not hand them on.
        whole = {"state_dict": {}, **found} if strategy.restore_checkpoint_after_setup else found
        refuse_mangled(whole, f"{_RESUME} '{checkpoint_path}'")
        then(found)
        return found

    strategy.load_checkpoint = checked  # type: ignore[method-assign]
    return partial(vars(strategy).pop, "load_checkpoint", None)


def keep_saved(trainer: "pl.Trainer") -> None:
    """Save nothing on an exception before the first batch, until :func:`save_again`.

    ``OnExceptionCheckpoint`` writes to the same file every time. After a resumption that was refused it would replace
    the checkpoint of the run by one that has lost its masks, or has taken over the settings that were refused.

    Args:
        trainer: The trainer of a fit that is set up.
    """
    save_again(trainer)
    save = trainer.save_checkpoint

    def guarded(filepath: Any, *args: Any, **options: Any) -> None:
        if trainer.state.status != TrainerStatus.INTERRUPTED:  # a tuner saves what it is going to put back
            save(filepath, *args, **options)
        else:
            rank_zero_warn(f"The fit failed before its first batch: nothing is new, so '{filepath}' is not written.")

    trainer.save_checkpoint = guarded  # type: ignore[method-assign]


def save_again(trainer: "pl.Trainer") -> None:
    """Undo :func:`keep_saved`.

    Args:
        trainer: The trainer.
    """
    vars(trainer).pop("save_checkpoint", None)


def refuse_damaged(path: object) -> None:
    """Refuse a checkpoint that is not what was saved.

    The file is read once. Only local files are checked, not the folder of a sharded checkpoint or a URL. Files without
    checksums are not checked: files in torch's format of before 2020, and files that are no checkpoint.

    Args:
        path: The checkpoint that a fit resumes from. None if the fit is not resumed.

    Raises:
        ValueError: If the file is damaged. The error says how, and names the newest whole checkpoint of the same
            folder.
    """
    if isinstance(path, str | Path) and Path(path).is_file():
        refuse_damaged_file(Path(path), _RESUME, "resume from that one with ckpt_path")
