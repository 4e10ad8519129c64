"""Small networks, data and runs that the tests share."""

from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

SAMPLES, BATCH = 48, 8
STEPS = SAMPLES // BATCH  # in an epoch


def sgd(parameters: Iterable[nn.Parameter]) -> Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def step_decay(optimizer: Optimizer, trainer: Trainer) -> Any:
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.1)


def one_cycle_lr(optimizer: Optimizer, trainer: Trainer) -> Any:
    steps = int(trainer.estimated_stepping_batches)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    return {"scheduler": scheduler, "interval": "step"}


def plateau(optimizer: Optimizer, trainer: Trainer) -> Any:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    return {"scheduler": scheduler, "monitor": "val_loss"}


class Toy(LightningModule):
    """A convolution, BatchNorm, dropout and two linear layers on 6x6 images of three classes."""

    def __init__(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = sgd,
        scheduler: Callable[[Optimizer, Trainer], Any] | None = step_decay,
        groups: tuple[float, ...] = (1.0,),
        dropout: float = 0.1,
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 10),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(10, 3),
        )
        if plain:  # no statistics of a batch, nothing drawn: the same on one process and on several
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 3))
        self.make_optimizer, self.make_scheduler, self.groups = optimizer, scheduler, groups

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, index: int) -> Tensor:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    test_step = validation_step

    def predict_step(self, batch: Any, index: int) -> Tensor:
        return self(batch[0])

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if len(self.groups) > 1:
            parameters = list(self.parameters())
            lr = optimizer.defaults["lr"]
            parts = [parameters[i :: len(self.groups)] for i in range(len(self.groups))]
            optimizer = self.make_optimizer(
                [{"params": part, "lr": lr * scale} for part, scale in zip(parts, self.groups, strict=True)]
            )
        if self.make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, self.trainer)}


class Images(pl.LightningDataModule):
    """Separable noise images."""

    def __init__(self, samples: int = SAMPLES, batch: int = BATCH, shuffle: bool = False) -> None:
        super().__init__()
        self.shuffle = shuffle
        generator = torch.Generator().manual_seed(1)
        labels = torch.arange(samples) % 3
        images = torch.randn(samples, 1, 6, 6, generator=generator) + labels.view(-1, 1, 1, 1) * 0.5
        self.batch, self.set = batch, TensorDataset(images, labels)

    def train_dataloader(self) -> DataLoader:
        if torch.distributed.is_initialized():  # Lightning's own sampler would shuffle
            sampler = DistributedSampler(self.set, shuffle=self.shuffle)
            return DataLoader(self.set, batch_size=self.batch, sampler=sampler)
        return DataLoader(self.set, batch_size=self.batch, shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.set, batch_size=self.batch)

    test_dataloader = predict_dataloader = val_dataloader


def make_trainer(callbacks: list[Callback] | None = None, **options: Any) -> Trainer:
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks or []),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "max_epochs": 4,
    }
    return Trainer(callbacks=callbacks, **{**defaults, **options})


def fit(
    callbacks: list[Callback] | None = None,
    module: LightningModule | None = None,
    data: pl.LightningDataModule | None = None,
    ckpt_path: Any = None,
    weights_only: bool | None = None,
    **options: Any,
) -> Trainer:
    """Train a toy from the same start every time."""
    seed_everything(0, verbose=False)
    module = Toy() if module is None else module
    trainer = make_trainer(callbacks, **options)
    seed_everything(1, verbose=False)
    trainer.fit(module, datamodule=data or Images(), ckpt_path=ckpt_path, weights_only=weights_only)
    return trainer


def toy(**options: Any) -> Toy:
    """A toy with the same initial weights every time."""
    seed_everything(0, verbose=False)
    return Toy(**options)


class Rates(Callback):
    """Notes the learning rate and the momentum of every optimizer step."""

    def __init__(self) -> None:
        self.steps: list[list[tuple[float, float]]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self.steps.append([(float(g["lr"]), momentum(g)) for g in optimizer.param_groups])

    def lr(self, group: int = 0) -> list[float]:
        return [step[group][0] for step in self.steps]


def momentum(group: dict[str, Any]) -> float:
    return float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))


def equal(one: Any, other: Any) -> bool:
    """Whether two nested structures of tensors and plain values are the same, bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return one == other or (one != one and other != other)
