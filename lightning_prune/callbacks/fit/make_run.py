"""Make the run of a fit when training starts, from the callback's arguments and from Lightning's objects."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_prune.allocation import Allocation
from lightning_prune.callbacks.base import CycleClock
from lightning_prune.callbacks.compat.backbone_finetuning import select, unfrozen_later
from lightning_prune.callbacks.compat.early_stopping import Stops
from lightning_prune.callbacks.fit.assembly import rewinding, settings_of
from lightning_prune.callbacks.fit.ending import Ending
from lightning_prune.callbacks.fit.pruning_arguments import refuse_without_optimizer
from lightning_prune.callbacks.fit.record import Record
from lightning_prune.callbacks.fit.run.moments import Run
from lightning_prune.callbacks.fit.selected import refuse_other_filters
from lightning_prune.callbacks.fit.trained import Trained
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.masking.reached_latency import reached_latency
from lightning_prune.callbacks.timing.limits import Limits
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.criteria import Criterion
from lightning_prune.granularity.base import Granularity
from lightning_prune.schedules.durations import Duration
from lightning_prune.selection.prunable import Selection


class Arguments(CycleClock, ABC):
    """What a run is made of: the arguments of ``IterativePruning``."""

    retrain: str | int | None
    criterion: Criterion
    allocation: Allocation
    granularity: Granularity
    prunable: Selection
    optimizer_state: str
    seed: int
    early_stopping: str
    during: str | None

    @abstractmethod
    def make_pruner(self, module: "pl.LightningModule", weights: Mapping[str, Tensor]) -> Pruner:
        """Make what decides the masks of a run.

        Args:
            module: The module that is pruned.
            weights: The prunable weights by name.
        """


def make_run(
    clock: Arguments,
    trainer: "pl.Trainer",
    pl_module: "pl.LightningModule",
    limits: Limits,
    before: Duration | None,
    added: list[Callback],
    saved: Mapping[str, Any] | None,
) -> Run:
    """Make the run of a fit.

    Args:
        clock: The callback.
        trainer: The trainer, with its data loaded and its optimizers made.
        pl_module: The module that is pruned.
        limits: How long Lightning trains.
        before: The length of the dense run that came before the fit, where one did.
        added: The callbacks that the user did not write.
        saved: The state that the fit resumes from. None if the fit is not resumed.

    Raises:
        ValueError: If the arguments do not fit the run.
    """
    if clock.cycles:
        refuse_without_optimizer(trainer)
    selected = select(clock.prunable, trainer, pl_module, clock.granularity)  # again: late weights may be new ones
    refuse_other_filters(pl_module, selected, clock.criterion, clock.allocation, clock.granularity)
    pruner = clock.make_pruner(pl_module, selected.weights)
    position = {} if saved is None else saved["position"]
    limits.count_from(
        position.get("first_epoch", trainer.current_epoch), position.get("first_global_step", trainer.global_step)
    )
    timeline = limits.plan(trainer, clock.retrain, clock.cycles, rewinding(trainer, added), before, clock.during)
    at, trained = Position(), Trained(pl_module, trainer.optimizers, unfrozen_later(trainer, pl_module))
    hold = Hold(pruner.covered, trainer.optimizers, at.note_step, trained.note)
    record = Record(trainer, pl_module, selected, settings_of(clock, timeline, trainer) | pruner.settings)
    record.cover(pruner.covered)
    record.living, record.measured = pruner.living_network, pruner.measured
    record.measure_at_end = partial(reached_latency, pruner)
    stops = Stops(phases=clock.early_stopping == "cycle" and clock.during is None and not timeline.only_prunes)
    ending = Ending(at, timeline, limits, stops)
    return Run(at, timeline, pruner, hold, record, trained, clock.scheduled, clock.optimizer_state, ending)
