"""IterativePruning: the callback that prunes in cycles, and the clock of the other callbacks.

The callback holds the arguments of the user and hands the hooks of Lightning to the :class:`Run` of the fit. The
:class:`Pruner` of the run owns the masks. No other code changes the masks.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune import allocation as allocations
from lightning_prune import criteria
from lightning_prune.basics.checks import check_whole
from lightning_prune.basics.too_early import FromTraining
from lightning_prune.callbacks.base import CycleMember
from lightning_prune.callbacks.companions.shrink import cut_to_sizes_, shrinks_in_cycles
from lightning_prune.callbacks.compat.backbone_finetuning import select
from lightning_prune.callbacks.compat.best_checkpoint import choose_afresh, warn_of_old_best
from lightning_prune.callbacks.compat.namespaces import join_namespaces
from lightning_prune.callbacks.compat.skipped_hooks import skip_empty, skip_while, stop_skipping
from lightning_prune.callbacks.compat.tuners import refuse_tuning
from lightning_prune.callbacks.fit.assembly import assemble, complete
from lightning_prune.callbacks.fit.dense_run import read_dense_run
from lightning_prune.callbacks.fit.fixed_sparsity import levels_of, refuse_choices
from lightning_prune.callbacks.fit.make_run import Arguments, make_run
from lightning_prune.callbacks.fit.notices import say_what_does_nothing
from lightning_prune.callbacks.fit.pruning_arguments import (
    check_arguments,
    check_choice,
    check_last_level,
    check_start,
    check_units,
)
from lightning_prune.callbacks.fit.run import Run
from lightning_prune.callbacks.masking.follower import follow, source_of
from lightning_prune.callbacks.masking.make_pruner import Method, make_pruner
from lightning_prune.callbacks.masking.processes import refuse_strategy
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.masking.recorded_masks import MaskSource
from lightning_prune.callbacks.policies.led_by_clock import LedPolicy
from lightning_prune.callbacks.resizing.before_loading import begin_with_present_sizes, refuse_small
from lightning_prune.callbacks.resuming.damaged_checkpoints import check_before_loading, keep_saved
from lightning_prune.callbacks.starting_points.weight_rewind import WeightRewind
from lightning_prune.callbacks.timing.limits import Limits
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.granularity.quantities import Quantity
from lightning_prune.granularity.single_weights import Weights
from lightning_prune.schedules.sparsity import Geometric, SparsitySchedule, scheduled
from lightning_prune.selection.prunable import Prunable, Selection
from lightning_prune.selection.sharding import reshard
from lightning_prune.shrinking.regrowth import briefly_whole


class IterativePruning(Arguments):
    """Prune and retrain in cycles after the dense run, inside one fit.

    ``Trainer(max_epochs=30)`` trains 30 dense epochs exactly as without this callback. Then the same fit goes on for
    ``cycles`` times ``retrain``. Each cycle begins before its first batch: the weights are scored, and the weights with
    the lowest scores die. From then on the dead weights are zero after every optimizer step. A learning-rate policy
    beside this callback sets the learning rates of the cycles. Without a policy, ``FineTune`` is used, or ``LRRewind``
    beside a starting point. ``WeightRewind`` beside this callback sets the weights at which the cycles start.

    Args:
        cycles: How many cycles. 0 trains the dense run only. Its checkpoint can serve as a ``dense_run``.
        retrain: How long each cycle lasts: ``"15ep"`` or 15 for epochs, ``"500it"`` for optimizer steps. None: as long
            as the dense run lasts from the rewind point of the callback beside this one to its end. Without a rewind
            point, as long as the whole dense run. ``"0ep"``, with ``cycles=1``: prune when the dense run is over, and
            train no more. The pruned network is validated once, and every ``ModelCheckpoint`` saves it.
        sparsity: The sparsity of each cycle.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.
        prunable: Selects the weights that may be pruned. A weight stays dense if no optimizer holds it when training
            starts, or if it got no gradient in the dense run.
        optimizer_state: The treatment of the optimizers' state when weights die. ``"mask"`` sets the moments of dead
            weights to zero, ``"reset"`` forgets the whole state, and ``"keep"`` leaves the state as it is.
        seed: Decides, with the number of the cycle, which weights the criterion ``random`` keeps. It is the same on
            every process.
        early_stopping: What an ``EarlyStopping`` ends. ``"cycle"`` ends the dense run or the cycle that is running, and
            the patience starts again in each. ``"run"`` ends the whole fit, as without this callback.
        during: Prune inside the dense run, whose learning rates go on. ``"5ep:25ep"`` is the span of the prunes.
            ``retrain`` is then the interval between two cycles, and ``cycles`` intervals fill the span. The last cycle
            begins at the end of the span (Zhu & Gupta, 2017). If the schedule has an ``initial`` sparsity, the span
            begins with a prune to this sparsity.
        dense_run: A dense run that was trained before this fit. The fit then has ``Trainer(max_epochs=0)``. Give the
            path of the last checkpoint of the dense run: its weights, optimizer state, random state and learning rates
            are taken over. Or give the length of the dense run, such as ``"160ep"``: the schedules of this module are
            stepped that far without training, and the module keeps its weights.
        initial_masks: The weights that are dead from the start. ``"zeros"``: the prunable weights that are zero. A
            path: the dead weights of the ticket in this file.
        masks_from: A run whose masks are used here: each cycle takes the masks of the same cycle of that run. Give the
            folder of the run, with a checkpoint of every cycle, or a ``Recorded``, which can shuffle the masks by
            ``seed``. The sparsities of that run are taken over. ``criterion`` and ``allocation`` are not used.
        granularity: The units in which weights live and die: ``Weights()`` for single weights, ``Filters()`` or
            ``Blocks(rows, columns)`` within one weight, ``Structures()`` for channels, heads and neurons with all that
            belongs to them. Units score what their weights score together. ``NofM(2, 4)`` keeps two of every four
            weights, and so fixes ``sparsity`` and ``allocation``.
        measure: What ``sparsity`` is a fraction of. ``"weights"``: of the prunable weights. ``"units"``: of the units.
            ``"flops"``: of the operations of a training step, where a dead weight costs nothing. Units are kept or
            removed whole. So ``"weights"`` and ``"flops"`` are met as nearly as whole units allow. With
            ``Structures()`` both are exact counts of the network without the dead units. ``"latency"`` or
            ``Latency(batch=1, threads=1)``, with ``Structures()``: of the time of a forward pass without the dead
            units. It is estimated from times that are measured when training starts.
        best_checkpoint: The networks among which a ``ModelCheckpoint(monitor=...)`` chooses the best. ``"cycle"``: the
            networks of the cycle that is running. The best network of a finished run is then as sparse as the last.
            ``"run"``: the networks of the whole fit, as without this callback. The best network is then likely to be a
            dense one.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if the arguments do not fit the run.

    Example:
        >>> from lightning_prune import LRRewind
        >>> callbacks = [IterativePruning(cycles=10, retrain="15ep"), LRRewind()]
        >>> round(callbacks[0].scheduled(10), 3)
        0.893
    """

    _run = FromTraining[Run]()
    _rewinds: tuple[WeightRewind, ...] = ()

    def __init__(
        self,
        cycles: int = 10,
        retrain: str | int | None = None,
        sparsity: SparsitySchedule = Geometric(fraction=0.2),
        criterion: criteria.Criterion = criteria.magnitude,
        allocation: allocations.Allocation = allocations.globally,
        prunable: Selection = Prunable(),
        optimizer_state: Literal["mask", "reset", "keep"] = "mask",
        seed: int = 0,
        early_stopping: Literal["cycle", "run"] = "cycle",
        during: str | None = None,
        dense_run: str | int | Path | None = None,
        initial_masks: Literal["zeros"] | str | Path | None = None,
        masks_from: MaskSource | str | Path | None = None,
        best_checkpoint: Literal["cycle", "run"] = "cycle",
        granularity: Granularity = Weights(),
        measure: Quantity = "weights",
    ) -> None:
        join_namespaces()
        functions = {"criterion": criterion, "allocation": allocation, "prunable": prunable}
        check_arguments(cycles, retrain, sparsity, optimizer_state, early_stopping, during, **functions)
        self.cycles, self.retrain = int(cycles), retrain
        self.criterion, self.allocation, self.prunable = criterion, allocation, prunable
        self.optimizer_state = optimizer_state
        check_whole(self, {"seed": seed})
        self.seed = seed
        self.early_stopping = early_stopping
        self.during = during
        self.dense_run = dense_run
        self.initial_masks = initial_masks
        self.masks_from = masks_from
        check_units(granularity, measure, masks_from, criterion)
        refuse_choices(granularity, measure, allocation)
        self.granularity, self.measure = granularity, measure
        self._source = source_of(masks_from)
        self.sparsity = self._levels = levels_of(granularity, sparsity, self.cycles)
        check_last_level(self.sparsity, self.cycles, f"granularity={granularity!r}")
        self.best_checkpoint = check_choice("best_checkpoint", best_checkpoint)
        self._before = read_dense_run(dense_run)
        self._at = Position()
        self._added: list[Callback] = []
        self._undo = ExitStack()
        self._loaded: dict[str, Any] | None = None
        self._used = False
        self._by_hand = True  # whether the module optimizes by hand
        self._led = LedPolicy()

    @property
    def measured_sparsity(self) -> float:
        """The fraction that is dead of what ``measure`` counts: of the prunable weights, unless you say otherwise.

        It is counted, so it may differ a little from what ``sparsity`` asked for. With ``measure="flops"`` it is a
        fraction of the operations. The fraction of the weights is another one then, and the console tells both. If the
        module gets other weights after the fit, such as those of an earlier checkpoint, it is the fraction of the
        prunable weights that is zero.
        """
        return self._run.measured_sparsity()

    @property
    def masks(self) -> dict[str, Tensor]:
        """The masks by name, true where a weight is alive. Tensors without a dead weight are left out."""
        return self._run.pruner.whole_masks()

    @property
    def covered(self) -> Mapping[str, Tensor]:
        return self._run.pruner.covered

    @property
    def living_network(self) -> LivingNetwork | None:
        return self._run.pruner.living_network()

    def save_ticket(self, path: str | Path) -> None:
        """Write the masks and the weights of the rewind point into one file, in a cycle or after the fit.

        On several processes all of them have to call it. Where callbacks do not come back, as under ``ddp_spawn``,
        :func:`lightning_prune.save_ticket` makes one of a checkpoint.

        Args:
            path: The file, such as ``"ticket.safetensors"``.
        """
        states = {type(callback).__name__: callback.state_dict() for callback in (self, *self._rewinds)}
        self._run.write_ticket(path, states)

    def scheduled(self, cycle: int) -> float:
        return scheduled(self._levels, cycle)

    def note(self, name: str, value: Any) -> None:
        self._run.record.note(name, value)

    def note_stop(self, trainer: "pl.Trainer") -> None:
        self._run.ending.note_stop(trainer)

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage == "fit":
            self._loaded = None
            keep_saved(trainer)
            refuse_strategy(trainer.strategy)
            sized = begin_with_present_sizes(trainer, pl_module) if shrinks_in_cycles(trainer) else refuse_small
            self._undo.callback(check_before_loading(trainer.strategy, sized))
            self._added = assemble(trainer, self.during is not None, one_best=self.best_checkpoint == "run")
            for callback in self._added:
                callback.setup(trainer, pl_module, stage)
            self._before.lengthen(trainer, self._undo)
        else:
            complete(trainer)  # or Lightning would miss them when it loads a checkpoint

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._resumes_from = trainer.ckpt_path  # a tuner that restores what it tried would change it
        late = trainer.strategy.restore_checkpoint_after_setup  # only then it is known whether there is a checkpoint
        if not late:
            self._check_start(trainer, pl_module)
        self._before.shorten(trainer)
        with briefly_whole(pl_module):
            selected = select(self.prunable, trainer, pl_module, self.granularity)
            say_what_does_nothing(pl_module, selected, self.cycles, self._levels, self.granularity)
        refuse_tuning(trainer.callbacks, trainer.ckpt_path)  # type: ignore[attr-defined]
        self._limits = Limits(trainer)
        self._undo.callback(self._limits.put_back, trainer)
        if late or self._loaded is not None or (self.cycles and self._limits.hold_back(trainer)):
            self._limits.lift(trainer)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if trainer.strategy.restore_checkpoint_after_setup:
            self._resumes_from = trainer.ckpt_path
            self._check_start(trainer, pl_module)
        reshard(pl_module)
        with briefly_whole(pl_module):  # the masks are those of the whole network
            self._begin(trainer, pl_module)
        cut_to_sizes_(self._run.hold, pl_module)
        self._run.set_off(trainer)
        self._skip_hooks(trainer)

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._run.epoch_begins(trainer)

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._run.batch_begins(trainer)
        by_hand = not pl_module.automatic_optimization  # a module may change it between two batches
        if by_hand != self._by_hand:
            self._by_hand = by_hand
            skip_while(not by_hand, self, IterativePruning, "on_after_backward")
        if (lead := self._led.batch_begins) is not None:
            lead(trainer)

    def on_after_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._run.backward_ended(trainer)

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        self._run.step_begins(trainer, optimizer)
        if (lead := self._led.step_begins) is not None:
            lead(trainer, pl_module, optimizer)

    def on_cycle_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        if self.best_checkpoint == "cycle":
            choose_afresh(trainer)

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._run.batch_ended(trainer, pl_module.automatic_optimization)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._run.epoch_ended(trainer)

    def on_train_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        warn_of_old_best(trainer, self.cycle)
        self._run.train_ended(trainer)

    def on_fit_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._undo.close()

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._undo.close()

    def state_dict(self) -> dict[str, Any]:
        return self._run.state_dict() if self._used else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict  # taken over when training starts (evaluation loads it, too)
        self._before.learn_length(state_dict)

    def make_pruner(self, module: "pl.LightningModule", weights: Mapping[str, Tensor]) -> Pruner:
        if self._source is None or not self.cycles:
            method = Method(self.criterion, self.allocation, self.granularity, self.measure, self.seed)
            return make_pruner(method, module, weights, saved=self._loaded)
        pruner, self._levels = follow(self._source, weights, self.sparsity, self.cycles, self.seed)
        return pruner

    def _begin(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        before = self._before.length
        self._run = run = make_run(self, trainer, pl_module, self._limits, before, self._added, self._loaded)
        self._used = True
        self._undo.callback(run.let_go, trainer)
        self._at, self._timeline = run.at, run.timeline
        self._rewinds = tuple(c for c in trainer.callbacks if isinstance(c, WeightRewind))  # type: ignore[attr-defined]
        if self._loaded is None:
            run.start(trainer, self._before, self.initial_masks)
        else:
            run.resume(trainer, self._loaded)

    def _skip_hooks(self, trainer: "pl.Trainer") -> None:
        """Let Lightning call as few hooks of ours for every batch as it can: the calls cost more than the work."""
        self._by_hand = True
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, CycleMember):
                stop_skipping(callback)
                skip_empty(callback)
                self._undo.callback(stop_skipping, callback)
        self._led.lead(self, IterativePruning, trainer.callbacks)  # type: ignore[attr-defined]
        self._undo.callback(self._led.let_go)

    def _check_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self._loaded is None:
            self._before.refuse_gone()
        used = self._used and (trainer.current_epoch > 0 or self._run.is_laid_over(pl_module))
        check_start(used, self._loaded, self._resumes_from, self.initial_masks)
