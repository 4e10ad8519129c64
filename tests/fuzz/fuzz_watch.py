"""What is looked at while a case is trained: what must hold at every step, and what a resumed run has to repeat."""

import random
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from fuzz_cases import Case
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor

from lightning_prune import IterativePruning

# How often a moment is drawn, compared with others: there are more batches than validations or cycles.
WEIGHTS = {"epoch start": 1, "cycle start": 2, "batch end": 1, "validation end": 4, "epoch end": 2}


class Watch(Callback):
    """Notes rates, validations, cycles and the weights of the dense run, and what is wrong."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.rates: list[Any] = []
        self.validations: list[float | None] = []
        self.cycles: list[int] = []
        self.dense: list[bytes] = []
        self.wrong: list[str] = []
        self._dead: dict[str, Tensor] = {}
        self._sparsity = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self._after_step(trainer, pl_module))
        clock = clock_of(trainer)
        if clock is not None:  # a resumed run may be in a cycle
            self._dead, self._sparsity = _inverse(clock.masks), clock.measured_sparsity

    def _after_step(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        clock = clock_of(trainer)
        if clock is None or clock.cycle is None:
            self.dense.append(b"".join(_bytes(parameter) for parameter in module.parameters()))
        self._look_for_life(module, "after a step")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._look_for_life(pl_module, "after a batch")

    def _look_for_life(self, module: pl.LightningModule, when: str) -> None:
        for name, dead in self._dead.items():
            values = module.get_parameter(name).detach()[dead]
            if values[values.isfinite()].count_nonzero():  # NaN stays NaN: an optimizer may divide by zero
                self.wrong.append(f"dead weights of {name} are not zero {when}")

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        groups = [group for one in trainer.optimizers for group in one.param_groups]
        row = [(float(group["lr"]), str(group.get("betas", group.get("momentum")))) for group in groups]
        self.rates.append(row)
        if not all(0 <= lr < float("inf") for lr, _ in row):
            self.wrong.append(f"rates {row}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        loss = trainer.callback_metrics.get("val_loss")
        self.validations.append(None if loss is None else float(loss))

    def on_prune_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._before = {name: weight.detach().clone() for name, weight in pl_module.named_parameters()}

    def on_cycle_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, cycle: Any) -> None:
        clock = clock_of(trainer)
        assert clock is not None
        self.cycles.append(cycle.index)
        masks, weights = clock.masks, clock._run.pruner.covered
        alive = {name: int(masks[name].sum()) if name in masks else one.numel() for name, one in weights.items()}
        if alive != dict(clock._run.pruner.tally().living):
            self.wrong.append(f"cycle {cycle.index}: the masks have {alive}")
        self._compare_with_target(clock, cycle, alive)
        self._compare_with_last(clock, masks)
        if (
            self.case.granularity == "weights" == self.case.measure
            and self.case.criterion == "magnitude"
            and self.case.allocation == "globally"
        ):
            self._compare_magnitudes(masks, weights)
        self._dead, self._sparsity = _inverse(masks), clock.measured_sparsity

    def _compare_with_target(self, clock: IterativePruning, cycle: Any, alive: dict[str, int]) -> None:
        pruner = clock._run.pruner
        size, living = sum(one.numel() for one in pruner.covered.values()), sum(alive.values())
        if self.case.granularity != "weights" and self.case.measure == "units":
            size, living = pruner.masks.size, pruner.masks.alive
        asked = round((1 - cycle.sparsity) * size)
        if pruner.measure is not None:
            multiple = 2 if self.case.granularity == "structures 2" else 1
            step = multiple * pruner.measure.largest() * (len(alive) if self.case.allocation != "globally" else 1)
            if abs(pruner.measure.left(pruner.masks.living) - (1 - cycle.sparsity) * pruner.measure.total()) > step:
                self.wrong.append(f"cycle {cycle.index}: {clock.measured_sparsity} for {cycle.sparsity}")
        elif "whole" not in self.case.allocation and living != asked:
            self.wrong.append(f"cycle {cycle.index}: {living} of {size} are alive, not {asked}")

    def _compare_with_last(self, clock: IterativePruning, masks: dict[str, Tensor]) -> None:
        if clock.measured_sparsity < self._sparsity - 1e-12:
            self.wrong.append(f"the sparsity fell from {self._sparsity} to {clock.measured_sparsity}")
        for name, dead in self._dead.items():
            if name not in masks or bool((masks[name] & dead).any()):
                self.wrong.append(f"weights of {name} came back")

    def _compare_magnitudes(self, masks: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        everywhere = {name: masks.get(name, torch.ones_like(one, dtype=torch.bool)) for name, one in weights.items()}
        kept = torch.cat([self._before[name].double().abs()[mask] for name, mask in everywhere.items()])
        lost = torch.cat([
            self._before[name].double().abs()[~mask & ~self._dead.get(name, torch.zeros_like(mask))]
            for name, mask in everywhere.items()
        ])  # fmt: skip
        if len(kept) and len(lost) and kept.min() < lost.max():
            self.wrong.append(f"{float(kept.min())} was kept and {float(lost.max())} was not")


class Save(Checkpoint):
    """Keeps one checkpoint of a moment that is drawn among all at which a run can be resumed exactly."""

    def __init__(self, folder: Path, case: Case, watch: Watch, seed: int) -> None:
        self.path, self.case, self.watch, self.random = folder / "saved.ckpt", case, watch, random.Random(seed)
        self.seen = 0
        self.kept: dict[str, Any] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._maybe(trainer, "epoch start")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._maybe(trainer, "batch end")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._maybe(trainer, "validation end")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._maybe(trainer, "epoch end")

    def on_cycle_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, cycle: Any) -> None:
        batch = trainer.fit_loop.epoch_loop.batch_progress.current
        if batch.ready == batch.processed:  # else it begins within an epoch
            self._maybe(trainer, "cycle start")

    def _maybe(self, trainer: pl.Trainer, moment: str) -> None:
        if self.case.loader == "plain" and moment != "epoch end":  # the loader does not keep its place
            return
        self.seen += WEIGHTS[moment]
        if self.random.randrange(self.seen) >= WEIGHTS[moment]:  # or it replaces the one before
            return
        trainer.save_checkpoint(self.path)
        counts = {"rates": len(self.watch.rates), "validations": len(self.watch.validations)}
        where = {"epoch": trainer.current_epoch, "step": trainer.global_step, "moment": moment}
        self.kept = {**where, **counts, "cycles": list(self.watch.cycles)}


def clock_of(trainer: pl.Trainer) -> IterativePruning | None:
    return next((one for one in trainer.callbacks if isinstance(one, IterativePruning)), None)


def _inverse(masks: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: ~mask for name, mask in masks.items()}


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
