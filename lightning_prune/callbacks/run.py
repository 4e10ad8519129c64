"""One fit of ``IterativePruning``: its parts, and what happens where a cycle begins, it resumes, or it is over."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_prune.callbacks.averaging import restart_averages
from lightning_prune.callbacks.clock import CycleCallback
from lightning_prune.callbacks.cycle import Cycle, announce_prune, listeners
from lightning_prune.callbacks.dense_run import DenseRun
from lightning_prune.callbacks.early_stopping import Stops, start_afresh
from lightning_prune.callbacks.exact_resume import reopen, settle
from lightning_prune.callbacks.hold import Hold
from lightning_prune.callbacks.initial import initial_masks, refuse_regrowth
from lightning_prune.callbacks.limits import Limits, cycle_steps, has_length, steps_per_epoch
from lightning_prune.callbacks.position import Position
from lightning_prune.callbacks.processes import check_agreement, take_from_first
from lightning_prune.callbacks.pruner import Pruner
from lightning_prune.callbacks.record import Record
from lightning_prune.callbacks.restart import Over
from lightning_prune.callbacks.settings import refuse_differences
from lightning_prune.callbacks.sleep import put_to_sleep
from lightning_prune.callbacks.timeline import Timeline
from lightning_prune.sharding import reshard


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
    scheduled: Callable[[int], float]
    optimizer_state: str
    stops: Stops
    to_rehearse: Sequence[float] = ()

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors."""
        return {
            "format": 1,
            "settings": self.record.settings,
            "position": self.at.state_dict(),
            "masks": self.pruner.masks.pack(),
            "evidence": self.pruner.gatherer.state_dict(),
            "cycles": self.record.cycles,
            "stops": self.stops.state_dict(),
        }

    def start(self, trainer: "pl.Trainer", before: DenseRun | None, masks: str | Path | None) -> None:
        """Begin a fit that is not resumed.

        Args:
            trainer: The trainer.
            before: The dense run that came before it, if one did.
            masks: Where the first masks come from; None if all weights live.

        Raises:
            ValueError: If a cycle would fail for what can be known now.
        """
        if before is not None:
            before.hand_over(trainer)
        sparsities = [self.scheduled(cycle) for cycle in range(1, self.timeline.cycles + 1)]
        if masks is not None:
            self.take_masks(trainer, initial_masks(masks, self.pruner.weights))
            refuse_regrowth(masks, self.pruner.masks.alive, self.pruner.masks.size, sparsities)
        self.pruner.gatherer.begin_fit()
        self.to_rehearse = sparsities
        self.at.begin(trainer)

    def enter_batch(self, trainer: "pl.Trainer") -> None:
        """Before a batch is trained: show once that pruning will work, now that the module has prepared itself.

        Raises:
            ValueError: If it will not.
        """
        if self.to_rehearse:
            self.pruner.rehearse(self.to_rehearse, trainer)
            self.to_rehearse = ()
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
        due = self.timeline.index(self.at.epoch + self.at.cut_epochs, self.at.steps_since_dense)
        for index in range((self.at.cycle.index if self.at.cycle else 0) + 1, min(due, self.timeline.cycles) + 1):
            self._begin(trainer, index)
        self.pruner.gatherer.begin_epoch(self.at.epoch)

    def _begin(self, trainer: "pl.Trainer", index: int) -> None:
        began = time.perf_counter()
        sparsity = self.scheduled(index)
        reshard(trainer.lightning_module)
        announce_prune(trainer)
        self.pruner.prune_(index, sparsity, trainer)
        take_from_first(trainer, self.pruner.masks)
        check_agreement(trainer, self.pruner.masks)
        self.hold.use(self.pruner.held())
        self.hold.treat_(trainer.optimizers, self.optimizer_state)
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
        self.limits.follow(trainer, self.at, self.timeline, over)

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

    def _is_done(self) -> bool:
        if self.timeline.by_epochs or self.timeline.inside:
            return False
        return self.timeline.index(0, self.at.steps_since_dense) > self.timeline.cycles
