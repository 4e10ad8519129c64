"""Measure what the callbacks add to a step that does little: a small network, and one of many small tensors.

A run takes about a minute of one core. ``make bench`` shows the same figures.
"""

import argparse
import cProfile
import logging
import pstats
import statistics
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_prune import Geometric, IterativePruning, LRRewind
from lightning_prune.lab import LeNet300100

Watch = TypeVar("Watch", bound=Callback)
BLOCK = 10  # steps between two changes: a step whose code was not used for a while takes longer


class Ready:
    """Batches that are ready: a list of them would be a list of loaders.

    Args:
        batches: The batches.
    """

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Small(LightningModule):
    """A small network under SGD with momentum, on batches that are ready.

    Args:
        network: The network.
        inputs: The size of an example.
        batch: The size of a batch.
        steps: How many batches an epoch has.
    """

    def __init__(self, network: nn.Module, inputs: int, batch: int, steps: int) -> None:
        super().__init__()
        self.network = network
        self.batches = [(torch.randn(batch, inputs), torch.arange(batch) % 8) for _ in range(8)] * (steps // 8)

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)

    def train_dataloader(self) -> Ready:
        return Ready(self.batches)


class ManyTensors(nn.Module):
    """A mean of many small matrices, multiplied by the input.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(count)])

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ torch.stack([layer.weight for layer in self.layers]).mean(0).T  # type: ignore[misc]


class Blocks(Callback):
    """Times the steps of a fit, every second block of them without our callbacks and hooks.

    The clock counts the time of this process, so that it does not matter what else the machine does.
    """

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, str], list[list[float]]] = {}
        self.kind, self.steps, self.last = "ours", 0, 0.0

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        self.all = list(trainer.callbacks)
        self.pruning = next((callback for callback in self.all if isinstance(callback, IterativePruning)), None)
        self.hooks = [optimizer._optimizer_step_post_hooks for optimizer in trainer.optimizers]

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        self.steps = 0

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        phase = "dense" if self.pruning is None or self.pruning.cycle is None else "cycle"
        if self.steps >= BLOCK:  # the first block of a phase allocates
            self.blocks[phase, self.kind][-1].append(time.process_time() - self.last)
        self.steps += 1
        is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if self.steps % BLOCK == 0 or is_last:
            self.kind = "ours" if is_last or self.kind == "dense" else "dense"
            self._set(trainer)
            self.blocks.setdefault((phase, self.kind), []).append([])
        self.last = time.process_time()

    def _set(self, trainer: Trainer) -> None:
        ours = self.kind == "ours"
        trainer.callbacks = self.all if ours else [self]
        for optimizer, hooks in zip(trainer.optimizers, self.hooks, strict=True):
            optimizer._optimizer_step_post_hooks = hooks if ours else OrderedDict()

    def ratio(self, phase: str) -> float:
        """The median ratio of neighboring blocks, of which the middle step counts.

        Args:
            phase: ``"dense"`` or ``"cycle"``.
        """
        kinds = ("ours", "dense")
        ours, dense = ([block for block in self.blocks[phase, kind] if len(block) > BLOCK // 2] for kind in kinds)
        medians = zip(map(statistics.median, ours), map(statistics.median, dense), strict=False)
        return statistics.median(one / other for one, other in medians)


class Calls(Callback):
    """Counts the calls of functions in the steps of a phase.

    Args:
        in_cycle: Whether the steps of the cycle are counted, and not those of the dense run.
    """

    def __init__(self, in_cycle: bool) -> None:
        self.in_cycle, self.steps, self.profile = in_cycle, 0, cProfile.Profile()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        pruning = next((one for one in trainer.callbacks if isinstance(one, IterativePruning)), None)
        if (pruning is not None and pruning.cycle is not None) != self.in_cycle:
            return
        self.steps += 1
        if self.steps == BLOCK:
            self.profile.enable()
        elif self.steps == 2 * BLOCK:
            self.profile.disable()

    def of_a_step(self) -> float:
        """The calls of a step."""
        return sum(entry[1] for entry in pstats.Stats(self.profile).stats.values()) / BLOCK  # type: ignore[attr-defined]


class Masking(Blocks):
    """Masks half of the weights after every step, by one operation in a hook of the optimizer. It does nothing else."""

    def on_train_start(self, trainer: Trainer, *args: Any) -> None:
        weights = [one.detach() for one in trainer.lightning_module.parameters() if one.dim() > 1]
        numbers = [one.view(torch.int32) for one in weights]
        masks = [(torch.rand_like(one) < 0.5).to(torch.int32) for one in weights]
        trainer.optimizers[0].register_step_post_hook(lambda *_: torch._foreach_mul_(numbers, masks))
        super().on_train_start(trainer, *args)


def small_step_ratios(quick: bool) -> dict[str, float]:
    """The time of a step with ``IterativePruning`` and ``LRRewind`` over that of Lightning, by what is trained.

    ``"masking"`` is the time of a step that one operation masks, over that of Lightning.

    Args:
        quick: Whether few steps are enough.
    """
    steps = 320 if quick else 2000
    lenet, masked = Small(LeNet300100(), 784, 64, steps), Small(LeNet300100(), 784, 64, steps)
    tensors = Small(ManyTensors(5000), 8, 8, 80 if quick else 160)
    of_lenet, of_tensors = (_watch(module) for module in (lenet, tensors))
    return {
        "masking": _fit(masked, Masking()).ratio("dense"),
        "dense": of_lenet.ratio("dense"),
        "cycle": of_lenet.ratio("cycle"),
        "tensors": of_tensors.ratio("cycle"),
    }


def calls_of_steps() -> dict[str, float]:
    """How many calls of functions a step of LeNet-300-100 makes, without our callbacks and with them."""
    asked = {"Lightning alone": (False, []), "dense": (False, _ours()), "cycle": (True, _ours())}
    return {
        kind: _fit(Small(LeNet300100(), 784, 64, 80), Calls(in_cycle), *callbacks).of_a_step()
        for kind, (in_cycle, callbacks) in asked.items()
    }


def _ours() -> list[Callback]:
    return [IterativePruning(cycles=1, retrain="1ep", sparsity=Geometric(0.5)), LRRewind()]


def _watch(module: LightningModule) -> Blocks:
    return _fit(module, Blocks(), *_ours())


def _fit(module: LightningModule, watch: Watch, *callbacks: Callback) -> Watch:
    Trainer(
        max_epochs=1, callbacks=[*callbacks, watch], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(module)  # fmt: skip
    return watch


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the steps")
    parser.add_argument("--calls", action="store_true", help="count calls of functions, and measure no time")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.calls:
        for kind, calls in calls_of_steps().items():
            print(f"calls of a step, {kind}: {calls:.0f}")
        return
    ratios = small_step_ratios(options.quick)
    print(f"step that one operation masks / Lightning alone: {ratios.pop('masking'):.3f} (no callback can be faster)")
    goals = {"dense": 1.02, "cycle": 1.04, "tensors": 1.15}
    for kind, ratio in ratios.items():
        print(f"step with the callbacks / Lightning alone, {kind}: {ratio:.3f} (goal {goals[kind]})")


if __name__ == "__main__":
    main()
