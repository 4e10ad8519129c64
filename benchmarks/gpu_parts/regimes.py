"""The three regimes of Zhou et al. 2023 in their smallest experiment: where is the crossover, and is there a barrier?

A dense ResNet-20 is pruned as it was at three points of its training, to 6 % and to 40 % of its weights, and each is
retrained twice on the data in other orders. The claim: at 6 % the network of the middle point is the best, at 40 % the
last one. Finished networks stay in the folder of the results, and a later call goes on from there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor

from benchmarks.gpu_parts.cifar import Cifar20, read_once
from benchmarks.gpu_parts.setting import Row, Setting, be_quiet
from lightning_prune import DataOrder, DenseScheduleRestart, IterativePruning, OneShot, Prunable, layerwise
from lightning_prune.regimes import measure

DENSITIES = (0.06, 0.4)


@dataclass(frozen=True)
class Size:
    """How long is trained, and after which epochs the network is pruned."""

    epochs: int
    points: tuple[int, ...]
    batch: int
    limit: int

    @classmethod
    def of(cls, small: bool) -> "Size":
        """The sizes for a GPU, or small ones."""
        return cls(2, (1, 2), 16, 2) if small else cls(32, (2, 16, 32), 512, 20)


class Network(Cifar20):
    """The network of the claims, which can be called."""

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images)
        return found


class Points(Callback):
    """Saves the weights after some epochs.

    Args:
        folder: Where they go.
        points: The epochs.
    """

    def __init__(self, folder: Path, points: tuple[int, ...]) -> None:
        self.folder, self.points = folder, points

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (done := trainer.current_epoch + 1) in self.points:
            torch.save(pl_module.state_dict(), self.folder / f"dense-{done}.pt")


def rows(setting: Setting) -> Iterator[Row]:
    """Error, LMC and CKA of each point and density, as far as the time allows."""
    be_quiet()
    size = Size.of(setting.small)
    folder = setting.out / ("regimes-small" if setting.small else "regimes")
    folder.mkdir(parents=True, exist_ok=True)
    images = read_once(setting.data, folder, setting.small)
    data = "CIFAR-10" if setting.data else "generated images"
    if not (folder / f"dense-{size.epochs}.pt").exists():
        train_dense(images, folder, size, setting)
    yield Row("epochs of the dense run", float(size.epochs), note=data)
    for density in DENSITIES:
        for point in size.points:
            if (found := cell(images, folder, size, setting, point, density)) is None:
                yield Row("networks that are left for a later call", "some")
                return
            name = f"density {density:.0%}, dense network after {point} epochs"
            yield Row(f"test error: {name}, points", 100 * found["error"])
            yield Row(f"LMC: {name}", found["lmc"], note=f"CKA {found['cka']:.3f}")


def cell(
    images: Path, folder: Path, size: Size, setting: Setting, point: int, density: float
) -> dict[str, float] | None:
    """Retrain two copies and measure them, or read what was measured. None if there is no time left."""
    result = folder / f"{point}-{density}.json"
    if not result.exists():
        copies = []
        for order in (1, 2):
            if (copy := retrained(images, folder, size, setting, point, density, order)) is None:
                return None
            copies.append(copy)
        found = measure(*copies, batches_of(copies[0], size.limit), density, point)
        error = 1 - sum(copy.test_accuracy() for copy in copies) / 2
        result.write_text(json.dumps({"lmc": found.lmc, "cka": found.cka, "error": error}))
    return dict(json.loads(result.read_text()))


def retrained(
    images: Path, folder: Path, size: Size, setting: Setting, point: int, density: float, order: int
) -> Network | None:
    """Prune the network of a point and retrain it, or load what was retrained."""
    path = folder / f"{point}-{density}-{order}.pt"
    if not path.exists() and setting.left < 15:
        return None
    seed_everything(order, verbose=False)
    module = Network(images, size.batch, size.epochs, setting.device)
    if path.exists():
        module.load_state_dict(torch.load(path, weights_only=True))
        return module.to(setting.device)
    module.load_state_dict(torch.load(folder / f"dense-{point}.pt", weights_only=True))
    pruning = IterativePruning(
        cycles=1, retrain=f"{size.epochs}ep", sparsity=OneShot(1 - density), allocation=layerwise,
        prunable=Prunable(last_layer=False), dense_run=f"{size.epochs}ep",
    )  # fmt: skip
    fit(module, setting, [pruning, DenseScheduleRestart(), DataOrder(order)], 0)
    torch.save(module.state_dict(), path)
    return module.to(setting.device)


def train_dense(images: Path, folder: Path, size: Size, setting: Setting) -> None:
    """Train the dense network, and keep it at all points."""
    seed_everything(0, verbose=False)
    fit(Network(images, size.batch, size.epochs, setting.device), setting, [Points(folder, size.points)], size.epochs)


def fit(module: Network, setting: Setting, callbacks: list[Callback], epochs: int) -> None:
    """Train in bf16 on a GPU."""
    precision = "bf16-mixed" if setting.on_gpu else "32-true"
    options = {**setting.trainer, "enable_checkpointing": False}
    Trainer(max_epochs=epochs, precision=precision, callbacks=callbacks, **options).fit(module)  # type: ignore[arg-type]


def batches_of(module: Network, limit: int) -> list[tuple[Tensor, Tensor]]:
    """Training images without augmentation, in batches."""
    pairs = zip(module.images["train"].split(500), module.labels["train"].split(500), strict=True)
    return [pair for _, pair in zip(range(limit), pairs, strict=False)]
