"""Keep the best checkpoint to networks of the last sparsity, not to denser earlier ones."""

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune.callbacks.companions.cycle_checkpoint import CycleCheckpoint
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.cycle import Cycle


def choose_afresh(trainer: "pl.Trainer") -> None:
    """Let every ``ModelCheckpoint`` with a monitor choose its best again: a sparser network is another network.

    The files of before count as the worst that there can be, so that the next one that is saved takes the place of one
    of them: ``save_top_k`` limits the number of files as it does without this package, their names stay the same, and
    what is chosen so is saved with the callback's own state.

    Args:
        trainer: The trainer, where a cycle begins.
    """
    for callback in _comparing(trainer):
        worst = _worst(callback)
        callback.best_k_models = dict.fromkeys(callback.best_k_models, worst)
        callback.kth_value = worst
        if callback.best_model_score is not None:
            callback.best_model_score = worst


def warn_of_old_best(trainer: "pl.Trainer", cycle: Cycle | None) -> None:
    """Warn if no checkpoint was saved since the last prune, so that the best is still a denser network.

    Args:
        trainer: The trainer, when the fit ends.
        cycle: The cycle that the fit ends in. None for the dense run.
    """
    if cycle is None:
        return
    for callback in _comparing(trainer):
        if callback.best_model_path and callback.best_model_score == _worst(callback):
            rank_zero_warn(
                f"ModelCheckpoint(monitor={callback.monitor!r}) saved nothing in cycle {cycle.index}: its best, "
                f"{callback.best_model_path}, is a denser network. Let it save at least once a cycle."
            )


def _comparing(trainer: "pl.Trainer") -> list[ModelCheckpoint]:
    kinds = everywhere(ModelCheckpoint)
    saving = [callback for callback in trainer.callbacks if isinstance(callback, kinds)]  # type: ignore[attr-defined]
    return [one for one in saving if one.monitor is not None and not isinstance(one, CycleCheckpoint)]


def _worst(callback: ModelCheckpoint) -> torch.Tensor:
    return torch.tensor(torch.inf if callback.mode == "min" else -torch.inf)
