"""IterativePruning: the clock of the cycles, and the only owner of the masks."""

import logging
import time
from contextlib import ExitStack
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch.optim import Optimizer

from lightning_prune import allocation as allocations
from lightning_prune import criteria
from lightning_prune.callbacks.assembly import assemble, rewinding, settings_of, take_out
from lightning_prune.callbacks.averaging import restart_averages
from lightning_prune.callbacks.checks import check_arguments, refuse_reuse
from lightning_prune.callbacks.clock import CycleClock
from lightning_prune.callbacks.cycle import Cycle, announce
from lightning_prune.callbacks.early_stopping import start_afresh, stop_phases, stop_runs
from lightning_prune.callbacks.exact_resume import settle
from lightning_prune.callbacks.hold import Hold, gradients_are_read
from lightning_prune.callbacks.limits import Limits, steps_per_epoch
from lightning_prune.callbacks.position import Position
from lightning_prune.callbacks.processes import check_agreement, refuse_strategy, take_from_first
from lightning_prune.callbacks.pruner import Pruner
from lightning_prune.callbacks.record import Record
from lightning_prune.callbacks.settings import refuse_differences, refuse_foreign
from lightning_prune.callbacks.sleep import put_to_sleep
from lightning_prune.durations import Duration
from lightning_prune.schedules import Geometric, SparsitySchedule
from lightning_prune.selection import Prunable, Selection
from lightning_prune.sharding import reshard

_log = logging.getLogger(__name__)


class IterativePruning(CycleClock):
    """Prune and retrain in cycles after the dense run, inside one fit.

    ``Trainer(max_epochs=30)`` trains 30 dense epochs exactly as without this callback; then the same fit goes on for
    ``cycles`` times ``retrain``. Each cycle begins before its first batch: the weights are scored, the lowest die,
    and dead weights are zero after every optimizer step from then on. How the cycles learn is for a learning-rate
    policy beside this callback (``FineTune`` without one), where their weights start for ``WeightRewind``.

    Args:
        cycles: How many cycles, at least 1.
        retrain: How long each lasts: ``"15ep"`` or 15 for epochs, ``"500it"`` for optimizer steps. None for what
            remains of the dense run from the rewind point of the callback beside this one; all of it without one.
        sparsity: The sparsity of each cycle.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.
        prunable: What may be pruned.
        optimizer_state: What becomes of the optimizers' state when weights die: ``"mask"`` sets the moments of dead
            weights to zero, ``"reset"`` forgets all of it, ``"keep"`` leaves it.
        seed: Decides, with the cycle, what ``random`` keeps; the same on every process.
        early_stopping: What an ``EarlyStopping`` ends: ``"cycle"``, the dense run or the cycle that is under way, with
            fresh patience in each; ``"run"``, the whole fit, as without this callback.

    Raises:
        ValueError: If an argument lies outside its range; when the fit starts, if the arguments do not fit the run.

    Example:
        >>> from lightning_prune import LRRewind
        >>> callbacks = [IterativePruning(cycles=10, retrain="15ep"), LRRewind()]
        >>> round(callbacks[0].scheduled(10), 3)
        0.893
    """

    def __init__(
        self,
        cycles: int = 10,
        retrain: str | int | None = None,
        sparsity: SparsitySchedule = Geometric(rate=0.2),
        criterion: criteria.Criterion = criteria.magnitude,
        allocation: allocations.Allocation = allocations.globally,
        prunable: Selection = Prunable(),
        optimizer_state: Literal["mask", "reset", "keep"] = "mask",
        seed: int = 0,
        early_stopping: Literal["cycle", "run"] = "cycle",
    ) -> None:
        functions = {"criterion": criterion, "allocation": allocation, "prunable": prunable}
        check_arguments(cycles, retrain, sparsity, optimizer_state, early_stopping, **functions)
        self.cycles = int(cycles)
        self.retrain = retrain
        self.sparsity = sparsity
        self.criterion = criterion
        self.allocation = allocation
        self.prunable = prunable
        self.optimizer_state = optimizer_state
        self.seed = seed
        self.early_stopping = early_stopping
        self._at = Position()
        self._added: list[Callback] = []
        self._undo = ExitStack()
        self._loaded: dict[str, Any] | None = None
        self._used = False

    @property
    def measured_sparsity(self) -> float:
        return self._pruner.masks.sparsity

    def scheduled(self, cycle: int) -> float:
        return float(self.sparsity(cycle)) if cycle else 0.0

    def end_phase(self, trainer: "pl.Trainer") -> bool:
        if self.cycle is not None and self.cycle.index >= self.cycles:
            return True
        self._at.cut_short(self._timeline)
        self._limits.follow(trainer, self._at, self._timeline, over=True)
        return False

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            self._loaded = None
            refuse_strategy(trainer.strategy)
            self._added = assemble(trainer)
            for callback in self._added:
                callback.setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._resumes_from = trainer.ckpt_path  # a tuner that restores what it tried would change it
        late = trainer.strategy.restore_checkpoint_after_setup  # only then it is known whether there is a checkpoint
        refuse_reuse(self._used and self._loaded is None and not late)
        self._selected = self.prunable(pl_module)
        for one in self._selected.skipped:
            _log.debug("Not pruned: %s: %s", one.name, one.reason)
        self._limits = Limits(trainer)
        self._undo.callback(self._limits.put_back, trainer)
        if late or self._loaded is not None or self._resumes_from is not None or self._limits.hold_back(trainer):
            self._limits.lift(trainer)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if trainer.strategy.restore_checkpoint_after_setup:
            self._resumes_from = trainer.ckpt_path
            refuse_reuse(self._used and self._loaded is None)
        self._at, self._epoch_began = Position(), time.perf_counter()
        reshard(pl_module)
        self._selected = self.prunable(pl_module)  # once more: a strategy that loads late may have made new weights
        self._timeline = self._limits.plan(trainer, self.retrain, self.cycles, rewinding(trainer, self._added))
        self._pruner = Pruner(self._selected.weights, self.criterion, self.allocation, self.seed)
        self._record = Record(trainer, pl_module, self._selected, settings_of(self, self._timeline, trainer))
        self._hold = Hold(self._selected.weights, trainer.optimizers, self._at.note_step)
        self._undo.callback(self._hold.remove)
        self._used = True
        if self._loaded is None:
            refuse_foreign(self._resumes_from)
            self._pruner.rehearse([self.scheduled(cycle) for cycle in range(1, self.cycles + 1)])
            self._at.begin(trainer)
        else:
            self._take_over(trainer, self._loaded)
        if self.early_stopping == "cycle":
            stop_phases(trainer)
            self._undo.callback(stop_runs, trainer)
        self._at.enter_batch(trainer, self._timeline.dense)
        self._limits.follow(trainer, self._at, self._timeline, over=self._at.dense_end is not None)
        if not trainer.fit_loop.restarted_mid_epoch:  # else that epoch has to end first
            self._end_when_done(trainer)
        self._record.write(trainer, finished=False)

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._epoch_began = time.perf_counter()
        self._catch_up(trainer)

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._catch_up(trainer)

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        if gradients_are_read(trainer, optimizer):
            self._hold.mask_gradients_()

    def on_after_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not pl_module.automatic_optimization:  # who clips by hand does so before the hook above
            self._hold.mask_gradients_()

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        if not pl_module.automatic_optimization:  # an optimizer inside another one steps unseen
            self._hold.apply_()
        self._at.finish_batch()
        if self._at.dense_end is None and self._at.dense_is_over(trainer, self._timeline.dense):
            self._limits.follow(trainer, self._at, self._timeline, over=True)
        self._end_when_done(trainer)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self._timeline.dense == Duration(self._at.epoch + 1 + self._at.cut_epochs, "ep"):
            self._limits.follow(trainer, self._at, self._timeline, over=True)
        self._end_when_done(trainer)
        self._record.log_epoch(pl_module, self.cycle, self._pruner.masks, time.perf_counter() - self._epoch_began)

    def on_train_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._record.write(trainer, finished=self.cycle is not None and self.cycle.index == self.cycles)

    def on_fit_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._undo.close()
        take_out(trainer, self._added)

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._undo.close()

    def state_dict(self) -> dict[str, Any]:
        if not self._used:
            return {}
        return {
            "format": 1,
            "settings": self._record.settings,
            "position": self._at.state_dict(),
            "masks": self._pruner.masks.pack(),
            "cycles": self._record.cycles,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict  # taken over when training starts; evaluation loads it, too

    def _take_over(self, trainer: "pl.Trainer", saved: dict[str, Any]) -> None:
        self._at.load(saved["position"])
        self._at.rescale(self._timeline, steps_per_epoch(trainer))
        refuse_differences(saved["settings"], self._record.settings, begun=self.cycle.index if self.cycle else 0)
        self._record.cycles = list(saved["cycles"])
        self._pruner.load(saved["masks"])
        check_agreement(trainer, self._pruner.masks)
        self._hold.use(self._pruner.held())
        if self.cycle is not None:
            put_to_sleep(trainer)  # or a plateau schedule would make up for a step that it never made
        settle(trainer, over=self._is_done())

    def _catch_up(self, trainer: "pl.Trainer") -> None:
        """Begin the cycle that the coming batch belongs to, unless it has begun."""
        self._at.enter_batch(trainer, self._timeline.dense)
        due = min(self._timeline.index(self._at.epoch + self._at.cut_epochs, self._at.steps_since_dense), self.cycles)
        for index in range((self.cycle.index if self.cycle else 0) + 1, due + 1):
            self._begin(trainer, index)

    def _begin(self, trainer: "pl.Trainer", index: int) -> None:
        began = time.perf_counter()
        sparsity = self.scheduled(index)
        reshard(trainer.lightning_module)
        self._pruner.prune_(index, sparsity)
        take_from_first(trainer, self._pruner.masks)
        check_agreement(trainer, self._pruner.masks)
        self._hold.use(self._pruner.held())
        self._hold.treat_(trainer.optimizers, self.optimizer_state)
        steps = self._timeline.cycle_steps(steps_per_epoch(trainer) or self._at.epoch_steps)
        self._at.cycle = Cycle(index, first_step=self.step, steps=steps, sparsity=sparsity)
        announce(trainer, self._at.cycle)
        reshard(trainer.lightning_module)
        self._hold.apply_()  # the listeners may have set weights
        restart_averages(trainer)
        start_afresh(trainer)
        self._record.add(trainer, self._at.cycle, self._pruner.masks, time.perf_counter() - began)

    def _end_when_done(self, trainer: "pl.Trainer") -> None:
        """End a run that goes by steps after the last one; one that goes by epochs has its limit."""
        if self._is_done():
            trainer.should_stop = True

    def _is_done(self) -> bool:
        return not self._timeline.by_epochs and self._timeline.index(0, self._at.steps_since_dense) > self.cycles
