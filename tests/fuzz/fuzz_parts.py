"""What the words of a case stand for: networks, data, callbacks, a trainer."""

from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from fuzz_cases import Case
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, GradientAccumulationScheduler
from lightning.pytorch.callbacks.weight_averaging import EMAWeightAveraging, WeightAveraging
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

import lightning_prune as lp
from lightning_prune import criteria

SIDE, KINDS = 5, 3


class Recurrent(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.cells, self.head = nn.GRU(SIDE, 4, num_layers=2, dropout=dropout, batch_first=True), nn.Linear(4, KINDS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x[:, 0])[0][:, -1])


class Shared(nn.Module):
    """A layer that is used twice, and one tied to another."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        size = SIDE * SIDE
        self.first, self.twice, self.last = nn.Linear(size, size), nn.Linear(size, size), nn.Linear(size, size)
        self.last.weight = self.first.weight
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(size, KINDS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.drop(torch.tanh(self.twice(torch.tanh(self.first(x.flatten(1)))))))
        return self.head(torch.tanh(self.last(x)))


def mlp(dropout: float, width: int = 8) -> nn.Module:
    inner = nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, width), *inner, nn.Linear(width, KINDS))


def conv(dropout: float) -> nn.Module:
    inner = nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)
    return nn.Sequential(nn.Conv2d(1, 3, 3), *inner, nn.Linear(27, KINDS))


NETWORKS = {"mlp": mlp, "conv": conv, "recurrent": Recurrent, "shared": Shared}


class Module(pl.LightningModule):
    """Classifies; two networks with an optimizer each if it is ``twins``."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.case, self.automatic_optimization = case, case.network != "twins"
        self.net = NETWORKS[case.network](case.dropout) if self.automatic_optimization else mlp(case.dropout)
        self.twin = None if self.automatic_optimization else mlp(0.0, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def _loss(self, network: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(network(batch[0]).float(), batch[1])

    def training_step(self, batch: Any, index: int) -> Tensor | None:
        if self.automatic_optimization:
            return self._loss(self.net, batch)
        for network, optimizer in zip((self.net, self.twin), self.optimizers(), strict=True):
            loss = self._loss(network, batch)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        if self.trainer.is_last_batch:
            for scheduler in self.lr_schedulers() or []:
                scheduler.step()
        return None

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self._loss(self.net, batch))

    def configure_optimizers(self) -> Any:
        if not self.automatic_optimization:
            both = [make_optimizer(self.case, list(one.parameters())) for one in (self.net, self.twin)]
            return both if self.case.scheduler == "none" else (both, [lr_scheduler.StepLR(one, 2, 0.5) for one in both])
        weights = list(self.parameters())
        rates = [rate_of(self.case), rate_of(self.case) / 2]
        groups = [{"params": weights[i::2], "lr": rate} for i, rate in enumerate(rates)]
        optimizer = make_optimizer(self.case, weights if self.case.groups == 1 else groups)
        scheduler = make_scheduler(self.case, optimizer, self.trainer)
        return optimizer if scheduler is None else {"optimizer": optimizer, "lr_scheduler": scheduler}


class Data(pl.LightningDataModule):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        kinds = torch.arange(case.samples) % KINDS
        noise = torch.randn(case.samples, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
        self.set = TensorDataset(noise + kinds.view(-1, 1, 1, 1) * 0.5, kinds)

    def train_dataloader(self) -> Any:
        kind = DataLoader if self.case.loader == "plain" else StatefulDataLoader
        return kind(self.set, batch_size=self.case.batch, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.set, batch_size=16)


OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-3),
    "nesterov": partial(torch.optim.SGD, momentum=0.8, nesterov=True),
    "adam": partial(torch.optim.Adam, amsgrad=True),
    "rmsprop": partial(torch.optim.RMSprop, centered=True, momentum=0.5),
    "lbfgs": partial(torch.optim.LBFGS, max_iter=2),
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "asgd": torch.optim.ASGD,
    "radam": torch.optim.RAdam,
    "adagrad": torch.optim.Adagrad,
    "adamax": torch.optim.Adamax,
    "adadelta": torch.optim.Adadelta,
    "rprop": torch.optim.Rprop,
    "adafactor": torch.optim.Adafactor,
}


def rate_of(case: Case) -> float:
    return 0.05 if case.optimizer in ("sgd", "nesterov", "asgd", "adadelta") else 0.01


def make_optimizer(case: Case, parameters: Any) -> torch.optim.Optimizer:
    return OPTIMIZERS[case.optimizer](parameters, lr=rate_of(case))


def make_scheduler(case: Case, optimizer: torch.optim.Optimizer, trainer: pl.Trainer) -> Any:
    if case.scheduler == "none":
        return None
    if case.scheduler == "plateau":
        falls = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
        return {"scheduler": falls, "monitor": "val_loss", "interval": case.interval, "strict": False}
    total = max(int(trainer.estimated_stepping_batches), 2)
    made = {
        "steps": lambda: lr_scheduler.MultiStepLR(optimizer, [1, 3], 0.3),
        "one cycle": lambda: lr_scheduler.OneCycleLR(
            optimizer, [g["lr"] for g in optimizer.param_groups], total + 1, cycle_momentum=False
        ),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, total),
        "exponential": lambda: lr_scheduler.ExponentialLR(optimizer, 0.9),
        "warm": lambda: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2),
        "in turn": lambda: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.LinearLR(optimizer, 0.2, 1.0, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)], [2]
        ),
    }[case.scheduler]()
    return {"scheduler": made, "interval": "step" if case.scheduler == "one cycle" else case.interval}


POLICIES = {
    "fine-tune": lambda: [],
    "fine-tune at": lambda: [lp.FineTune(lr=0.02)],
    "rewind": lambda: [lp.LRRewind()],
    "rewind to": lambda: [lp.LRRewind(to="1ep")],
    "constant": lambda: [lp.ConstantRate()],
    "restart": lambda: [lp.DenseScheduleRestart()],
    "scaled": lambda: [lp.ScaledRestart(warmup=0.3)],
    "scaled steps": lambda: [lp.ScaledRestart(warmup=0.3, interval="step")],
    "cyclic": lambda: [lp.CyclicRestart(warmup=0.3)],
    "one cycle": lambda: [lp.OneCycleRetrain(warmup=0.4)],
    "linear": lambda: [lp.LinearRestart(warmup=0.2)],
    "adaptive": lambda: [lp.AdaptiveLinearRestart()],
    "cosine": lambda: [lp.CosineRestart()],
    "silo": lambda: [lp.SILOSchedule(low=0.01, rise=0.03)],
    "warm": lambda: [lp.WarmupSteps(warmup=3)],
    "cyclical": lambda: [lp.Cyclical(half_period=2)],
    "s-cyclical": lambda: [lp.SCyclical(low=0.01, rise=0.02)],
    "aware": lambda: [lp.PruningAware(base=0.02, drop=0.01)],
    "own": lambda: [lp.TorchScheduler(partial(lr_scheduler.StepLR, step_size=2), interval="step")],
}
STARTS = {
    "kept": lambda: [],
    "rewound": lambda: [lp.WeightRewind(0)],
    "rewound to": lambda: [lp.WeightRewind("1ep")],
    "rewound steps": lambda: [lp.WeightRewind("3it", batch_norm="keep")],
    "fresh": lambda: [lp.Reinitialize(seed=3)],
    "scratch": lambda: [lp.ScratchTrain()],
}
CRITERIA = {
    "magnitude": lp.magnitude,
    "random": lp.random,
    "gradient": criteria.gradient,
    "taylor": criteria.taylor,
    "snip": criteria.snip,
    "grasp": criteria.grasp,
    "synflow": criteria.synflow,
    "movement": criteria.movement,
    "epoch change": criteria.last_epoch_change,
    "increase": criteria.magnitude_increase,
    "batches": criteria.OnBatches(criterion=criteria.taylor, batches=2),
    "filters": criteria.Filters(lp.magnitude),
}
ALLOCATIONS = {
    "globally": lp.globally,
    "layerwise": lp.layerwise,
    "erk": lp.erk,
    "lamp": lp.lamp,
    "floor": lp.WithFloor(2),
    "rates": lp.LayerFractions({"*": 0.2}),
    "whole": lp.WholeFilters(),
}

GRANULARITIES = {
    "weights": lp.Weights(),
    "filters": lp.Filters(),
    "filters l2": lp.Filters(reduce="l2"),
    "blocks": lp.Blocks(2, 3),
    "blocks max": lp.Blocks(1, 4, reduce="max"),
    "structures": lp.Structures(),
    "structures 2": lp.Structures(coupled=False, round_to=2, reduce="l1"),
}


def schedule_of(case: Case) -> Any:
    return {
        "geometric": lp.Geometric(0.3),
        "once": lp.OneShot(0.6),
        "linear": lp.Linear(0.7, case.cycles),
        "cubic": lp.Cubic(0.8, case.cycles),
        "levels": lp.Levels([0.3, 0.5, 0.9][: case.cycles]),
        "flat": lp.Levels([0.4] * case.cycles),
    }[case.sparsity]


def pruning_of(case: Case, dense_run: str | None) -> list[Callback]:
    """All callbacks of this package."""
    clock = lp.IterativePruning(
        cycles=case.cycles, retrain=case.retrain, sparsity=schedule_of(case), criterion=CRITERIA[case.criterion],
        allocation=ALLOCATIONS[case.allocation], optimizer_state=case.optimizer_state, early_stopping=case.stops,
        during=case.during, dense_run=dense_run, granularity=GRANULARITIES[case.granularity], measure=case.measure,
    )  # fmt: skip
    beside = {"norm": lambda: lp.EstimateBatchNorm(batches=2), "some": lambda: lp.TrainOnly(["bias", "head"])}
    return [clock, *POLICIES[case.policy](), *STARTS[case.start](), *(beside[name]() for name in case.beside)]


def others_of(case: Case) -> list[Callback]:
    """Callbacks of Lightning."""
    found: list[Callback] = []
    if case.patience is not None:
        found.append(EarlyStopping("val_loss", patience=case.patience, min_delta=0.02, strict=False))
    if case.average:
        found.append(WeightAveraging() if case.average == "mean" else EMAWeightAveraging(decay=0.8))
    if case.accumulate == "schedule":
        found.append(GradientAccumulationScheduler({0: 1, 2: 2}))
    return found


def make_trainer(case: Case, callbacks: list[Callback], has_dense_run: bool) -> pl.Trainer:
    limits = {"max_epochs": 0} if has_dense_run else {"max_epochs": case.epochs, "max_steps": case.steps or -1}
    if not has_dense_run and case.epochs is None:
        limits["max_epochs"] = -1
    scaled = case.precision == "scaled"
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=4)
    return pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=case.sanity, callbacks=callbacks, min_epochs=None if has_dense_run else case.min_epochs,
        enable_checkpointing=any(isinstance(one, Checkpoint) for one in callbacks),
        accumulate_grad_batches=1 if case.accumulate == "schedule" else case.accumulate,
        gradient_clip_val=case.clip, precision=None if scaled else case.precision,
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)] if scaled else None,
        val_check_interval=case.val_interval, check_val_every_n_epoch=case.val_every,
        limit_val_batches=case.val_batches, limit_train_batches=case.train_batches,
        reload_dataloaders_every_n_epochs=case.reload, **limits,
    )  # fmt: skip
