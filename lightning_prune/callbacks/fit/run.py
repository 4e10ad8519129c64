"""One fit of ``IterativePruning``: the work at its start, at its resume, and at each moment until its end.

The methods are named for the moments and called by the hooks of the callback: ``batch_begins``, ``batch_ended`` and so
on. A new cycle begins in the first of its batches, or when the epoch of that batch begins.
"""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer

from lightning_prune.basics.saved_state import FORMAT
from lightning_prune.callbacks.companions.shrink import whole_network
from lightning_prune.callbacks.compat.after_the_last_epoch import leave_before_batches
from lightning_prune.callbacks.compat.backbone_finetuning import settle_unfreezing
from lightning_prune.callbacks.compat.early_stopping import leave_stops, note_stops
from lightning_prune.callbacks.compat.weight_averaging import begin_averages_again
from lightning_prune.callbacks.cycle import announce_prune, listeners
from lightning_prune.callbacks.fit.dense_run import DenseRun
from lightning_prune.callbacks.fit.ending import Ending
from lightning_prune.callbacks.fit.finite import refuse_diverged
from lightning_prune.callbacks.fit.lay_out import lay_out
from lightning_prune.callbacks.fit.notices import say_cycle
from lightning_prune.callbacks.fit.record import Record
from lightning_prune.callbacks.fit.show_last import show_last
from lightning_prune.callbacks.fit.trained import Trained, leave_out, warn_of_untrained
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.initial_masks import initial_masks, refuse_regrowth
from lightning_prune.callbacks.masking.processes import check_agreement, take_from_first
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.policies.sleeping_schedulers import put_to_sleep
from lightning_prune.callbacks.resuming.exact_resume import settle
from lightning_prune.callbacks.settings.refused_differences import refuse_differences
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.step_counts import has_length, steps_per_epoch
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.masks.ticket import ticket_of, write_ticket
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import reshard


@dataclass
class Run:
    """A fit.

    Attributes:
        at: The position of the fit.
        timeline: When the cycles begin.
        pruner: The owner of the masks, which decides them, too.
        hold: The object that keeps dead weights at zero.
        record: The written record of the fit.
        trained: The parameters that an optimizer holds and that got a gradient.
        scheduled: The sparsity of each cycle.
        optimizer_state: The treatment of the optimizers' state at a prune.
        ending: When the phases and the fit end.
        to_rehearse: The sparsities that have yet to be shown to be possible.
        epoch_began: When the epoch began, in seconds of a clock that only counts on.
        caught_up: Lightning's epoch in which everything that begins with it has begun.
        shown: Whether the last network is validated and saved. False where the last cycle has no length.
    """

    at: Position
    timeline: Timeline
    pruner: Pruner
    hold: Hold
    record: Record
    trained: Trained
    scheduled: Callable[[int], float]
    optimizer_state: str
    ending: Ending
    to_rehearse: Sequence[float] = ()
    epoch_began: float = field(default_factory=time.perf_counter)
    caught_up: int | None = None
    shown: bool = True

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors."""
        return {
            "format": FORMAT,
            "settings": self.record.settings,
            "position": self.at.state_dict(),
            **self.pruner.state_dict(),
            "evidence": self.pruner.gatherer.state_dict(),
            "cycles": self.record.cycles,
            "trained": self.trained.state_dict(),
            "stops": self.ending.stops.state_dict(),
        }

    def measured_sparsity(self) -> float:
        """The fraction that is dead: by the masks while they hold, later by the weights."""
        tally = self.pruner.tally()
        if self.hold.is_on or self.hold.is_cut or (zeros := self.hold.zeros()) == tally.size - tally.alive:
            return tally.sparsity
        return zeros / tally.size

    def is_laid_over(self, module: "pl.LightningModule") -> bool:
        """Whether a module carries the zeros of the masks of this fit."""
        return self.hold.is_laid_over({plain_name(name): one for name, one in module.named_parameters()})

    def write_ticket(self, path: str | Path, states: Mapping[str, dict[str, Any]]) -> None:
        """Write a ticket, on one process for all.

        Args:
            path: The file.
            states: The states of the callbacks by their names.
        """
        if self.record.writes:
            write_ticket(path, ticket_of(states, self.pruner.tally().shapes))

    def start(self, trainer: "pl.Trainer", before: DenseRun, masks: str | Path | None) -> None:
        """Begin a fit that is not resumed.

        Args:
            trainer: The trainer.
            before: The dense run that came before it, or none.
            masks: The source of the first masks. None if all weights are alive.

        Raises:
            ValueError: If it is already known that a cycle would fail.
        """
        saved = before.hand_over(trainer)  # first: the masks may be those of the weights that it brings
        if before.given is not None:
            self.trained.take_over(saved)
        self._leave_untrained(trainer)
        sparsities = [self.scheduled(cycle) for cycle in range(1, self.timeline.cycles + 1)]
        if masks is not None:
            self.pruner.load(initial_masks(masks, self.pruner.covered), exact=masks != "zeros")
            self._hold_agreed(trainer)
            if sparsities and self.pruner.exceeds(sparsities[0]):
                refuse_regrowth(masks, self.pruner.tally().sparsity, sparsities[0])
        self.pruner.gatherer.begin_fit()  # after the masks: it remembers the weights as they are trained
        initial = self.scheduled(0) if self.timeline.inside else 0.0
        self.to_rehearse = [initial, *sparsities] if initial else sparsities
        self.at.begin(trainer)

    def resume(self, trainer: "pl.Trainer", saved: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken.

        If the state holds no settings, other code has compared them. If the state holds no masks, no weight is dead.

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
        self._leave_untrained(trainer, masked=saved["masks"] or ())  # before the masks, which are of what is left
        if saved["masks"] is not None:
            self.pruner.load_state_dict(saved)
            self._hold_agreed(trainer)
        self.pruner.gatherer.load_state_dict(saved.get("evidence", {"epoch": -1, "remembered": {}}))
        if self.ending.is_retraining:
            put_to_sleep(trainer)  # or a plateau schedule would make up for a step that it never made
        self.ending.load(trainer, saved.get("stops", {"decided": False, "ended": False}))
        settle(trainer, self.ending.why_over(trainer))  # last: it asks what the lines above have loaded

    def set_off(self, trainer: "pl.Trainer") -> None:
        """Let the fit begin, or go on, when it is known where it is.

        Raises:
            ValueError: If a callback unfreezes prunable weights too late.
        """
        settle_unfreezing(trainer, self.record.selected, self.timeline, self.at.first_epoch)
        note_stops(trainer)
        self.ending.set_off(trainer)
        self.record.write(trainer, finished=False)

    def let_go(self, trainer: "pl.Trainer") -> None:
        """Take away what hangs on the optimizers and on other callbacks: the fit is over, or has failed."""
        leave_stops(trainer)
        self.hold.remove()

    def epoch_begins(self, trainer: "pl.Trainer") -> None:
        """Before the first batch of an epoch: begin what begins with it, so that other callbacks see it there."""
        self.epoch_began = time.perf_counter()
        self._catch_up(trainer)

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        """Before a batch is trained: show once that pruning will work, now that the module has prepared itself.

        Raises:
            ValueError: If it will not.
        """
        if self.to_rehearse:
            self.pruner.rehearse(self.to_rehearse, trainer)
            self.to_rehearse = ()
        self.hold.finish_batch_()  # once more: hooks that come after ours may have written since the last batch
        self._catch_up(trainer)

    def backward_ended(self, trainer: "pl.Trainer") -> None:
        """After a backward pass: who optimizes by hand may clip at once, before any other hook of ours."""
        if not trainer.lightning_module.automatic_optimization:
            self.trained.note()
            self.hold.mask_gradients_()

    def step_begins(self, trainer: "pl.Trainer", optimizer: Optimizer) -> None:
        """Before an optimizer steps: dead weights have no part in what is made of the gradients."""
        if self.hold.has_masks and self.hold.readers.are_there(trainer, optimizer):
            self.hold.mask_gradients_()

    def batch_ended(self, trainer: "pl.Trainer", steps_are_seen: bool) -> None:
        """After a batch: count its step, and look whether the dense run or the fit ends with it."""
        self.hold.finish_batch_(steps_are_seen)
        self.at.count_step()  # before the question below, and before anybody saves
        self.ending.end_batch(trainer)

    def epoch_ended(self, trainer: "pl.Trainer") -> None:
        """After an epoch: move the limits if the dense run ends with it, end the run if that is over, and log."""
        seconds = time.perf_counter() - self.epoch_began
        self.ending.end_epoch(trainer)
        self.record.log_epoch(trainer.lightning_module, self.at.cycle, self.pruner.tally(), seconds)

    def train_ended(self, trainer: "pl.Trainer") -> None:
        """At the end of the fit: look at what came of the last cycle, and write down whether it was trained to its end.

        A cycle without a length begins here, after all that the dense run has validated and saved.

        Raises:
            ValueError: If it was, and its weights are NaN or infinite.
        """
        finished = self.ending.is_finished(trainer)
        if finished and self.timeline.only_prunes and (self.at.cycle is None or self.at.untold is not None):
            self._prune_at_the_end(trainer)
        elif self.ending.has_nothing_to_train and (self.at.untold is not None or not self.shown):
            with whole_network(trainer, self.pruner, self.hold):
                self._begin_all(trainer, range(0))  # resumed from a checkpoint that was saved while it began
            show_last(trainer, self.at, self.record, self.pruner.tally())
        if finished and self.at.cycle is not None:
            reshard(trainer.lightning_module)
            refuse_diverged(trainer.lightning_module, self.at.cycle)
        self.record.write(trainer, finished)

    def _catch_up(self, trainer: "pl.Trainer") -> None:
        """Begin the cycle that the coming batch belongs to, unless it has begun."""
        if self.timeline.by_epochs and self.caught_up == trainer.current_epoch:
            self.at.count_step()  # the module's own on_train_batch_end is after ours
            return
        self.at.look(trainer, self.timeline.dense)
        waiting = self._due()
        if waiting or self.at.untold is not None or self._begins_span(trainer):
            with whole_network(trainer, self.pruner, self.hold):
                self._begin_all(trainer, waiting)
            if self.ending.has_nothing_to_train:
                self.shown = False
                leave_before_batches(trainer)
        self.pruner.gatherer.begin_epoch(self.at.epoch)  # last: an epoch of a new cycle begins with its weights
        self.caught_up = trainer.current_epoch

    def _begin_all(self, trainer: "pl.Trainer", waiting: Sequence[int]) -> None:
        """Begin what is due: the rest of a cycle that was beginning, the first prune of a span, and cycles."""
        if self.at.untold is not None:  # resumed from a checkpoint that was saved while it began
            self._tell(trainer, time.perf_counter())
        if self._begins_span(trainer):
            self._prune(trainer, 0)
            begin_averages_again(trainer)
        while waiting:
            for index in waiting:
                self._begin(trainer, index)
            waiting = self._due()  # a cycle may have no length: the next one is due at once

    def _due(self) -> range:
        """The numbers of the cycles that the coming batch lies in or behind, and that have not begun."""
        due = min(self.timeline.index(self.at.scheduled_epoch, self.at.steps_since_dense), self.timeline.cycles)
        return range((self.at.cycle.index if self.at.cycle else 0) + 1, due + 1)

    def _prune_at_the_end(self, trainer: "pl.Trainer") -> None:
        """Prune the network of a dense run that is over, and let it be validated and saved once more."""
        self.at.look(trainer, self.timeline.dense)
        with whole_network(trainer, self.pruner, self.hold):
            if self.at.cycle is None:
                self.at.dense_end = self.at.step
            self._begin_all(trainer, range(1 if self.at.cycle is None else 2, 2))
        show_last(trainer, self.at, self.record, self.pruner.tally())

    def _begins_span(self, trainer: "pl.Trainer") -> bool:
        """Whether cycles inside the dense run start from a sparsity of their own, which is now due and not reached."""
        if self.at.cycle is not None or not self.scheduled(0) or (start := self.timeline.span_start) is None:
            return False
        return self.at.has_reached(trainer, start) and not self.pruner.has_reached(self.scheduled(0))

    def _begin(self, trainer: "pl.Trainer", index: int) -> None:
        """Begin a cycle: prune, lay it out, tell everybody. The order is the design."""
        began = time.perf_counter()
        # While ``at.cycle`` is still the phase that ends: the hooks before a prune and the errors are of that phase.
        self._prune(trainer, index)
        # After the prune: how long a cycle lasts may depend on what is left. Before the calls: they need its length.
        self.at.cycle = lay_out(trainer, self.at, self.timeline, self.ending, index, self.scheduled(index))
        # Before the first call: a checkpoint that one of them saves has a cycle that is beginning, with who is left.
        self.at.untold = len(listeners(trainer, self.at.cycle))
        self._tell(trainer, began)

    def _tell(self, trainer: "pl.Trainer", began: float) -> None:
        """Tell the listeners of the cycle, and begin all else that begins with it."""
        assert self.at.cycle is not None
        calls = listeners(trainer, self.at.cycle)
        for call in calls[max(len(calls) - (self.at.untold or 0), 0) :]:
            # Before the call: who saves a checkpoint in it has done its work, and is not called again.
            self.at.untold = (self.at.untold or 0) - 1
            call()
        # The listeners may have set weights: whole ones of FSDP2 are out of date, and dead ones may have come back.
        reshard(trainer.lightning_module)
        self.hold.apply_()
        # From here on the weights are those that the cycle starts from, for whoever remembers or averages them.
        self.pruner.gatherer.begin_phase()
        begin_averages_again(trainer)
        self.ending.begin_cycle(trainer)
        # It has begun: a fit that resumes from here on does nothing of the above again.
        self.at.untold = None
        say_cycle(trainer, self.at.cycle.index, self.timeline.cycles, self.pruner.tally(), self.pruner.living_network())
        self.record.add(trainer, self.at.cycle, self.pruner.tally(), time.perf_counter() - began)

    def _prune(self, trainer: "pl.Trainer", index: int) -> None:
        """Let weights die: look, score, agree, hold."""
        reshard(trainer.lightning_module)  # or FSDP2 would go on with whole weights from before the prune
        refuse_diverged(trainer.lightning_module, self.at.cycle)  # before anything is made of such weights
        announce_prune(trainer)  # the network as it was trained, for the last time
        if self.at.cycle is None:
            # Before the scores: what nobody trained in the dense run is not to be ranked with the rest.
            self.trained.end_dense_run(trainer.world_size)
            warn_of_untrained(self._leave_untrained(trainer, masked=self.pruner.held()))
        self.pruner.follow_(index, self.scheduled, trainer)
        take_from_first(trainer, self.pruner.masks)  # each process has scored on data of its own
        self._hold_agreed(trainer)
        self.hold.treat_(trainer.optimizers, self.optimizer_state)  # by the masks that are held now

    def _hold_agreed(self, trainer: "pl.Trainer") -> None:
        """Hold the masks of the pruner from now on. All processes have to agree on them.

        Raises:
            RuntimeError: If the processes have different masks. No mask is applied then.
        """
        check_agreement(trainer, self.pruner.masks)
        self.hold.use(self.pruner.held())

    def _leave_untrained(self, trainer: "pl.Trainer", masked: Container[str] = ()) -> Mapping[str, str]:
        """Leave out of the selection what nobody trains, and say why."""
        reasons = self.trained.reasons(self.pruner.weights, masked)
        if reasons and (self.timeline.cycles or len(reasons) < len(self.pruner.weights)):
            self.record.selected = leave_out(self.record.selected, reasons, type(trainer.lightning_module).__name__)
            self.pruner.keep(self.record.selected.weights)
            self.record.cover(self.pruner.covered)
        return reasons
