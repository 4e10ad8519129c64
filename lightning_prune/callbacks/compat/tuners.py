"""Refuse Lightning's tuners within a fit and in a resumed fit."""

from pathlib import Path

from lightning.pytorch.callbacks import BatchSizeFinder, Callback, LearningRateFinder

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere

_HOOKS = ("on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start")


def refuse_tuning(callbacks: list[Callback], ckpt_path: str | Path | None) -> None:
    """Refuse tuners if they would not put the fit back as it was.

    Args:
        callbacks: The callbacks of the fit.
        ckpt_path: The checkpoint that the fit resumes from, if any.

    Raises:
        ValueError: If one of them would tune a resumed fit, or within the fit.
    """
    for callback in callbacks:
        kinds = (*everywhere(BatchSizeFinder), *everywhere(LearningRateFinder))
        kind = next((kind for kind in kinds if isinstance(callback, kind)), None)
        if kind is None:
            continue
        name = type(callback).__name__
        if any(getattr(type(callback), hook) is not getattr(kind, hook) for hook in _HOOKS):
            raise UserError(
                f"{name} tunes within the fit, where IterativePruning would count the steps that it tries. Tune at the "
                f"start: {kind.__name__}(...)."
            )
        if ckpt_path is not None:
            raise UserError(
                f"{name} makes Lightning forget where a resumed fit was (ckpt_path='{ckpt_path}'), and the fit would "
                f"train from epoch 0 again. Resume without {name}, with what it found."
            )
