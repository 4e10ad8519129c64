"""Prune also the frozen weights of a backbone that a callback unfreezes within the dense run."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning
from torch import nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch
from lightning_prune.callbacks.timing.timeline import Timeline, in_steps
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.divisible import divisible
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.schedules.durations import Duration
from lightning_prune.selection.prunable import Selected, Selection


def select(
    prunable: Selection,
    trainer: "pl.Trainer",
    pl_module: "pl.LightningModule",
    granularity: Granularity = Weights(),
) -> Selected:
    """Select the weights to prune. Weights that ``BackboneFinetuning`` will unfreeze already count as trainable.

    Args:
        prunable: The selection.
        trainer: The trainer, with its callbacks set up.
        pl_module: The module that is to be pruned.
        granularity: The units in which weights live and die. Weights that it cannot divide are left out.

    Raises:
        ValueError: If the selection gives something else than what it selected, or no weight can be divided.
    """
    frozen = [parameter for parameter in unfrozen_later(trainer, pl_module) if not parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        selected = prunable(pl_module)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    if not isinstance(selected, Selected):
        raise UserError(
            f"IterativePruning(prunable={describe(prunable)}) returned a {type(selected).__name__}: give "
            "lightning_prune.Prunable(include=[...], exclude=[...]), with names of layers, or a "
            "lightning_prune.selection.Selection, which returns a Selected."
        )
    return divisible(granularity, pl_module, selected)


def unfrozen_later(trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> list[nn.Parameter]:
    """The parameters that ``BackboneFinetuning`` unfreezes and gives to an optimizer. Empty without this callback.

    Args:
        trainer: The trainer, with its callbacks set up.
        pl_module: The module that is to be pruned.
    """
    found = any(isinstance(callback, everywhere(BackboneFinetuning)) for callback in _finetunings(trainer))
    return list(_backbone(pl_module).parameters()) if found and hasattr(pl_module, "backbone") else []


def settle_unfreezing(trainer: "pl.Trainer", selected: Selected, timeline: Timeline, first_epoch: int) -> None:
    """Refuse to prune what nobody trains, and unfreeze in a resumed fit what was unfrozen when it was saved.

    Args:
        trainer: The trainer, with its data loaded.
        selected: What is pruned.
        timeline: The lengths.
        first_epoch: Lightning's epoch at the start of the fit.

    Raises:
        ValueError: If a callback unfreezes prunable weights after the dense run, or at an epoch of its own.
    """
    for callback in _finetunings(trainer):
        frozen = [one.name for one in selected.skipped if one.reason.startswith("frozen")]
        if isinstance(callback, everywhere(BackboneFinetuning)):
            if timeline.cycles:
                _refuse_late(trainer, callback, selected, timeline, first_epoch)
            started: int = trainer.fit_loop.epoch_progress.current.started  # type: ignore[attr-defined]
            if started > callback.unfreeze_backbone_at_epoch:  # the callback itself leaves it frozen
                callback.make_trainable(_backbone(trainer.lightning_module))
        elif frozen and timeline.cycles:
            raise UserError(
                f"{type(callback).__name__} unfreezes weights at an epoch that IterativePruning cannot know, and what "
                f"is pruned is selected when the fit starts: {', '.join(frozen)} would stay dense. Use "
                "BackboneFinetuning, or say that they stay dense: "
                f"IterativePruning(prunable=Prunable(exclude={frozen}))."
            )


def _refuse_late(
    trainer: "pl.Trainer", callback: BackboneFinetuning, selected: Selected, timeline: Timeline, first_epoch: int
) -> None:
    weights = {id(weight) for weight in selected.weights.values()}
    if not any(id(parameter) in weights for parameter in _backbone(trainer.lightning_module).parameters()):
        return
    argument = f"BackboneFinetuning(unfreeze_backbone_at_epoch={callback.unfreeze_backbone_at_epoch})"
    point = Duration(max(callback.unfreeze_backbone_at_epoch - first_epoch, 0), "ep")
    if timeline.dense.unit == "it":
        point = in_steps(point, steps_per_epoch(trainer), argument)
    if point.amount >= timeline.dense.amount:
        raise UserError(
            f"{argument} unfreezes the backbone after the dense run of {timeline.dense}: its weights would be pruned "
            "while they are frozen. Unfreeze it earlier, train the dense network for longer, or say that it stays "
            "dense: IterativePruning(prunable=Prunable(exclude=['backbone']))."
        )


def _finetunings(trainer: "pl.Trainer") -> list[BaseFinetuning]:
    kinds = everywhere(BaseFinetuning)
    return [callback for callback in trainer.callbacks if isinstance(callback, kinds)]  # type: ignore[attr-defined]


def _backbone(pl_module: "pl.LightningModule") -> Any:
    return pl_module.backbone  # the attribute that BackboneFinetuning asks for
