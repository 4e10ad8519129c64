"""The time of a training step in a cycle over the time of a dense one."""

import statistics
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.gpu_parts.networks import NETWORKS, PIXELS, Images
from benchmarks.gpu_parts.setting import Row, Setting, Stopwatch, at_most, be_quiet
from lightning_prune import IterativePruning, OneShot

BLOCK = 5  # steps between two marks: a GPU works behind the program, and the ends of a block blur


class Alternate(Callback):
    """Times blocks of steps of a fit, every second one without our callbacks and masks.

    Args:
        watch: The stopwatch.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self.marks: list[Any] = []
        self.steps = 0

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self.all = list(trainer.callbacks)
        self.pruning = next(callback for callback in self.all if isinstance(callback, IterativePruning))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.steps == 0:
            self.masks = self.pruning._run.hold._masks
        self.steps += 1
        if self.steps % BLOCK:
            return
        self.marks.append(self.watch.mark())
        ours = len(self.marks) % 2 == 1  # the block that begins
        self.pruning._run.hold._masks = self.masks if ours else {}
        trainer.callbacks = self.all if ours else [self]

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.callbacks = self.all

    def ratio(self) -> float:
        """The median ratio of neighboring blocks, without the first ones, which allocate."""
        times = [self.watch.between(*pair) for pair in zip(self.marks, self.marks[1:], strict=False)][4:]
        return statistics.median(ours / dense for ours, dense in zip(times[::2], times[1::2], strict=False))


def rows(setting: Setting) -> Iterator[Row]:
    """ResNet-20, ResNet-50 and ViT-B/16 at batch 128."""
    be_quiet()
    for name, limit in {"ResNet-20": 1.03, "ResNet-50": 1.01, "ViT-B/16": 1.01}.items():
        large = name != "ResNet-20"
        if setting.small and large:
            continue  # minutes on a CPU: the same code runs for ResNet-20
        batch, blocks = (4, 24) if setting.small else (128, 44 if large else 164)
        module = Images(
            NETWORKS[name](), PIXELS[name], batch, BLOCK * blocks, setting.device, channels_last=name == "ResNet-50"
        )
        watch = Alternate(Stopwatch(setting.device))
        trainer = Trainer(
            max_epochs=0, callbacks=[IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.9)), watch],
            precision="bf16-mixed" if large else "32-true", enable_checkpointing=False, **setting.trainer,
        )  # fmt: skip
        trainer.fit(module)
        kind = "bf16, channels last" if name == "ResNet-50" else "bf16" if large else "fp32"
        yield at_most(f"step at batch {batch}, {name}, {kind}, 90 % sparse / dense", watch.ratio(), limit)
