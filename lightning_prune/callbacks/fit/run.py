"""One fit of ``IterativePruning``: its parts, and what happens where a cycle begins, it resumes, or it is over."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_prune.basics.saved_state import FORMAT
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.compat.early_stopping import Stops, start_afresh
from lightning_prune.callbacks.compat.weight_averaging import restart_averages
from lightning_prune.callbacks.cycle import Cycle, announce_prune, listeners
from lightning_prune.callbacks.fit.dense_run import DenseRun
from lightning_prune.callbacks.fit.finite import refuse_diverged
from lightning_prune.callbacks.fit.record import Record
from lightning_prune.callbacks.fit.trained import Trained, leave_out, warn_of_untrained
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.initial_masks import initial_masks, refuse_regrowth
from lightning_prune.callbacks.masking.processes import check_agreement, take_from_first
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.policies.sleeping_schedulers import put_to_sleep
from lightning_prune.callbacks.resuming.exact_resume import reopen, settle
from lightning_prune.callbacks.resuming.lightning_loops import Over
from lightning_prune.callbacks.settings.refused_differences import refuse_differences
from lightning_prune.callbacks.timing.limits import Limits, cycle_steps, has_length, steps_per_epoch
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.schedules.durations import Duration
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import reshard


@dataclass
class Run:
    """A fit.

    Attributes:
        at: Where it is.
        timeline: When the cycles begin.
        limits: How long Lightning trains.
        pruner: The masks, and what decides them.
        hold: What keeps dead weights at zero.
        record: What is written down.
        trained: What an optimizer holds, and what got a gradient.
        scheduled: The sparsity of each cycle.
        optimizer_state: What becomes of the optimizers' state at a prune.
        stops: What early stopping has decided.
        to_rehearse: The sparsities that have yet to be shown to be possible.
    """

    at: Position
    timeline: Timeline
    limits: Limits
    pruner: Pruner
    hold: Hold
    record: Record
    trained: Trained
    scheduled: Callable[[int], float]
    optimizer_state: str
    stops: Stops
    to_rehearse: Sequence[float] = ()

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors."""
        return {
            "format": FORMAT,
            "settings": self.record.settings,
            "position": self.at.state_dict(),
            "masks": self.pruner.masks.pack(),
            "evidence": self.pruner.gatherer.state_dict(),
            "cycles": self.record.cycles,
            "trained": self.trained.state_dict(),
            "stops": self.stops.state_dict(),
        }

    def measured_sparsity(self) -> float:
        """The fraction of the prunable weights that is dead: by the masks while they hold, later by the weights."""
        masks = self.pruner.masks
        return masks.sparsity if self.hold.is_on else self.hold.zeros() / masks.size

    def is_laid_over(self, module: "pl.LightningModule") -> bool:
        """Whether a module carries the zeros of the masks of this fit."""
        return self.hold.is_laid_over({plain_name(name): one for name, one in module.named_parameters()})

    def start(self, trainer: "pl.Trainer", before: DenseRun, masks: str | Path | None) -> None:
        """Begin a fit that is not resumed.

        Args:
            trainer: The trainer.
            before: The dense run that came before it, or none.
            masks: Where the first masks come from; None if all weights live.

        Raises:
            ValueError: If a cycle would fail for what can be known now.
        """
        saved = before.hand_over(trainer)
        if before.given is not None:
            self.trained.take_over(saved)
        self._leave_untrained(trainer)
        sparsities = [self.scheduled(cycle) for cycle in range(1, self.timeline.cycles + 1)]
        if masks is not None:
            self.take_masks(trainer, initial_masks(masks, self.pruner.weights))
            refuse_regrowth(masks, self.pruner.masks.alive, self.pruner.masks.size, sparsities)
        self.pruner.gatherer.begin_fit()
        initial = self.scheduled(0) if self.timeline.inside else 0.0
        self.to_rehearse = [initial, *sparsities] if initial else sparsities
        self.at.begin(trainer)

    def enter_batch(self, trainer: "pl.Trainer") -> None:
        """Before a batch is trained: show once that pruning will work, now that the module has prepared itself.

        Raises:
            ValueError: If it will not.
        """
        if self.to_rehearse:
            self.pruner.rehearse(self.to_rehearse, trainer)
            self.to_rehearse = ()
        self.hold.finish_batch_()
        self.catch_up(trainer)

    def resume(self, trainer: "pl.Trainer", saved: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken.

        Without settings in it, somebody else has compared them; without masks, nothing is dead.

        Raises:
            ValueError: If the run was begun with other settings.
        """
        self.at.load(saved["position"])
        self.at.rescale(self.timeline, steps_per_epoch(trainer) if has_length(trainer) else None)
        begun = self.at.cycle.index if self.at.cycle else 0
        if saved["settings"] is not None:
            refuse_differences(saved["settings"], self.record.settings, begun)
        self.record.cycles = list(saved["cycles"])
        if "trained" in saved:
            self.trained.load_state_dict(saved["trained"])
        self._leave_untrained(trainer, masked=saved["masks"] or ())
        if saved["masks"] is not None:
            self.take_masks(trainer, saved["masks"])
        self.pruner.gatherer.load_state_dict(saved.get("evidence", {"epoch": -1, "remembered": {}}))
        if self.at.cycle is not None and not self.timeline.inside:
            put_to_sleep(trainer)  # or a plateau schedule would make up for a step that it never made
        self.stops.load(trainer, saved.get("stops", {"decided": False, "ended": False}), self._is_after)
        settle(trainer, self._over(trainer))

    def take_masks(self, trainer: "pl.Trainer", packed: dict[str, Any]) -> None:
        """Hold by packed masks from now on.

        Raises:
            RuntimeError: If the processes have different ones.
        """
        self.pruner.load(packed)
        check_agreement(trainer, self.pruner.masks)
        self.hold.use(self.pruner.held())

    def _leave_untrained(self, trainer: "pl.Trainer", masked: Container[str] = ()) -> Mapping[str, str]:
        """Leave out of the selection what nobody trains, and say why."""
        reasons = self.trained.reasons(self.pruner.weights, masked)
        if reasons and (self.timeline.cycles or len(reasons) < len(self.pruner.weights)):
            module = type(trainer.lightning_module).__name__
            self.record.selected = leave_out(self.record.selected, reasons, module)
            self.pruner.keep(self.record.selected.weights)
        return reasons

    def set_off(self, trainer: "pl.Trainer") -> None:
        """Set the limits, when it is known where the fit is."""
        self.at.enter_batch(trainer, self.timeline.dense)
        within_epoch = trainer.fit_loop.restarted_mid_epoch  # which has to end first
        over = self.at.dense_end is not None and not self._ends_with_limits
        if over or not (within_epoch and self.limits.has_reached_steps(trainer, self.at)):
            self.follow(trainer, over)
        if not within_epoch:
            self.end_when_done(trainer)

    def catch_up(self, trainer: "pl.Trainer") -> None:
        """Begin the cycle that the coming batch belongs to, unless it has begun."""
        self.at.enter_batch(trainer, self.timeline.dense)
        if self.at.untold is not None:  # resumed from a checkpoint that was saved while it began
            self._tell(trainer, time.perf_counter())
        if self._begins_span(trainer):
            self._prune(trainer, 0, self.scheduled(0))
            restart_averages(trainer)
        due = self.timeline.index(self.at.epoch + self.at.cut_epochs, self.at.steps_since_dense)
        for index in range((self.at.cycle.index if self.at.cycle else 0) + 1, min(due, self.timeline.cycles) + 1):
            self._begin(trainer, index)
        self.pruner.gatherer.begin_epoch(self.at.epoch)

    def _begins_span(self, trainer: "pl.Trainer") -> bool:
        """Whether cycles inside the dense run start from a sparsity of their own, which is now due and not reached."""
        if not self.timeline.inside or self.at.cycle is not None or not self.scheduled(0):
            return False
        first, masks = self.timeline.dense, self.pruner.masks
        start = Duration(first.amount - self.timeline.retrain.amount, first.unit)
        return self.at.dense_is_over(trainer, start) and masks.alive > round((1 - self.scheduled(0)) * masks.size)

    def _begin(self, trainer: "pl.Trainer", index: int) -> None:
        began = time.perf_counter()
        sparsity = self.scheduled(index)
        self._prune(trainer, index, sparsity)
        self.at.cycle = self._lay_out(trainer, index, sparsity)
        self.at.untold = len(listeners(trainer, self.at.cycle))
        self._tell(trainer, began)

    def _tell(self, trainer: "pl.Trainer", began: float) -> None:
        """Tell the listeners of the cycle, and begin all else that begins with it."""
        assert self.at.cycle is not None
        calls = listeners(trainer, self.at.cycle)
        for call in calls[max(len(calls) - (self.at.untold or 0), 0) :]:
            self.at.untold = (self.at.untold or 0) - 1
            call()
        reshard(trainer.lightning_module)
        self.hold.apply_()  # the listeners may have set weights
        self.pruner.gatherer.begin_phase()
        restart_averages(trainer)
        if self.stops.phases:
            start_afresh(trainer)
        self.at.untold = None
        self.record.add(trainer, self.at.cycle, self.pruner.masks, time.perf_counter() - began)

    def _prune(self, trainer: "pl.Trainer", index: int, sparsity: float) -> None:
        reshard(trainer.lightning_module)
        refuse_diverged(trainer.lightning_module, self.at.cycle)
        announce_prune(trainer)
        if self.at.cycle is None:
            self.trained.end_dense_run(trainer.world_size)
            warn_of_untrained(self._leave_untrained(trainer, masked=self.pruner.held()))
        self.pruner.prune_(index, sparsity, trainer)
        take_from_first(trainer, self.pruner.masks)
        check_agreement(trainer, self.pruner.masks)
        self.hold.use(self.pruner.held())
        self.hold.treat_(trainer.optimizers, self.optimizer_state)

    def _lay_out(self, trainer: "pl.Trainer", index: int, sparsity: float) -> Cycle:
        """The cycle that begins: as long as planned, or as a callback asks for."""
        planned, length = self.timeline.retrain, None
        for callback in trainer.callbacks if self.timeline.inside is None else ():  # type: ignore[attr-defined]
            if isinstance(callback, CycleCallback):
                length = callback.length_of(trainer, trainer.lightning_module, index) or length
        timeline = replace(self.timeline, retrain=length or planned)
        self.at.lengthen(self.timeline, timeline.retrain.amount - planned.amount)
        if length is not None:
            self.follow(trainer, over=True)
        return Cycle(index, self.at.step, cycle_steps(trainer, timeline, self.at.epoch_steps), sparsity)

    def note_stop(self, trainer: "pl.Trainer") -> None:
        """Note that early stopping has decided to stop; what it decides in a validation waits for the epoch's end."""
        self.stops.decided = True
        if not trainer.validating:
            self.obey(trainer)

    def obey(self, trainer: "pl.Trainer") -> None:
        """At the end of an epoch: what early stopping has decided ends the phase, or the fit."""
        reopen(trainer)
        if not self.stops.is_due(trainer, self._is_after):
            return
        self.stops.decided = False
        trainer.should_stop = self.stops.ended = not self.stops.phases
        if self.stops.phases:
            self.at.partial = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
            self.at.cut_short(self.timeline)
            self.follow(trainer, over=True)
            self.end_when_done(trainer)

    def follow(self, trainer: "pl.Trainer", over: bool) -> None:
        """Set Lightning's limits to those of the dense run, or of the whole run once that is over."""
        if over and self.timeline.cycles and self.at.cycle is None and self.stops.phases and self.stops.decided:
            # The dense run was to stop once its least length is trained, and has come to its end before that.
            self.stops.decided = trainer.should_stop = False
        self.limits.follow(trainer, self.at, self.timeline, over)

    def finish_epoch(self, trainer: "pl.Trainer", seconds: float) -> None:
        """After an epoch: move the limits if the dense run ends with it, end the run if that is over, and log.

        Args:
            trainer: The trainer, in a hook that may log.
            seconds: How long the epoch took.
        """
        self.obey(trainer)
        if not self.timeline.inside and self.timeline.dense == Duration(self.at.epoch + 1 + self.at.cut_epochs, "ep"):
            self.follow(trainer, over=True)
        self.end_when_done(trainer)
        self.record.log_epoch(trainer.lightning_module, self.at.cycle, self.pruner.masks, seconds)

    def end_when_done(self, trainer: "pl.Trainer") -> None:
        """End a run that goes by steps after the last one; one that goes by epochs has its limit."""
        if self._ends_with_limits and self.limits.has_reached_steps(trainer, self.at):
            self.follow(trainer, over=False)
        elif self._is_done():
            trainer.should_stop = True

    def is_finished(self, trainer: "pl.Trainer") -> bool:
        """Whether the last cycle was trained to its end, when the fit ends: something else may have stopped it."""
        return self.at.is_over(trainer, self.timeline)

    @property
    def _ends_with_limits(self) -> bool:
        """Whether the user's limits are those of the whole fit: no cycle comes after the dense run."""
        return not self.timeline.cycles or self.timeline.inside is not None

    @property
    def _is_after(self) -> bool:
        """Whether it is after the dense run."""
        return self.at.cycle is not None and not self.timeline.inside

    def _over(self, trainer: "pl.Trainer") -> Over:
        """Whether the epoch that is resumed has no batch left, though its data has."""
        if self._ends_with_limits and self.limits.has_reached_steps(trainer, self.at):
            return "limit"
        return "stop" if self._is_done() or self.stops.is_due(trainer, self._is_after) else ""

    def finish(self, trainer: "pl.Trainer") -> None:
        """At the end of the fit: look at what came of the last cycle, and write down whether it was trained to its end.

        Raises:
            ValueError: If it was, and its weights are NaN or infinite.
        """
        finished = self.is_finished(trainer)
        if finished and self.at.cycle is not None:
            reshard(trainer.lightning_module)
            refuse_diverged(trainer.lightning_module, self.at.cycle)
        self.record.write(trainer, finished)

    def _is_done(self) -> bool:
        if self.timeline.by_epochs or self.timeline.inside:
            return False
        return self.timeline.index(0, self.at.steps_since_dense) > self.timeline.cycles
