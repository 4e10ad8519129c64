"""Whether the promises of docs/reference/guarantees.md hold on this device, in all precisions, for fast optimizers."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from benchmarks.gpu_parts.networks import Images
from benchmarks.gpu_parts.setting import Row, Setting, be_quiet, holds
from lightning_prune import IterativePruning, Levels, WeightRewind
from lightning_prune.lab.networks.resnet import ResNet

DENSE, CYCLES, RETRAIN = 2, 2, 1  # epochs, cycles, epochs
LEVELS = Levels([0.5, 0.8])


@dataclass(frozen=True)
class Kind:
    """A way to train.

    Args:
        precision: The precision of the Trainer.
        optimizer: ``"foreach"`` or ``"fused"``.
        compiled: Whether the network is compiled.
    """

    precision: str
    optimizer: str
    compiled: bool = False

    @property
    def name(self) -> str:
        """The words of a row."""
        names = {"foreach": "SGD foreach", "fused": "AdamW fused"}
        return f"{self.precision}, {names[self.optimizer]}{', compiled' if self.compiled else ''}"


class Witness(Callback):
    """Looks at every step whether the promises are kept. The results stay on the device until they are asked for."""

    def __init__(self) -> None:
        self.regrown: list[Tensor] = []
        self.rewound = True
        self.dense: dict[str, Tensor] = {}
        self.point: dict[str, Tensor] = {}
        self.misplaced: set[str] = set()
        self.memory: list[int] = []
        self.started: set[int] = set()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            self.point = values_of(pl_module)

    def on_prune_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.dense = self.dense or values_of(pl_module)
        self.memory.append(allocated(pl_module))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        pruning = clock_of(trainer)
        if pruning.cycle is None or pruning.cycle.index in self.started:
            return
        self.started.add(pruning.cycle.index)
        self.memory.append(allocated(pl_module))
        now, masks = values_of(pl_module), plain(pruning.masks)
        for name, point in self.point.items():
            expected = point * masks[name].to(point.device) if name in masks else point
            self.rewound &= torch.equal(now[name], expected)
        weights = dict(pl_module.named_parameters())
        held = plain(pruning._run.pruner.held())
        devices = {plain_name(name): one.device for name, one in weights.items()}
        self.misplaced |= {name for name, mask in held.items() if mask.device != devices[name]}
        rewind = next(callback for callback in trainer.callbacks if isinstance(callback, WeightRewind))
        self.misplaced |= {name for name, one in rewind._snapshot.items() if one.device.type != "cpu"}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        weights = {plain_name(name): one.detach() for name, one in pl_module.named_parameters()}
        for name, mask in plain(clock_of(trainer)._run.pruner.held()).items():
            self.regrown.append(((mask == 0) & (weights[name] != 0)).sum())


def rows(setting: Setting) -> Iterator[Row]:
    """Every promise for every way to train. What no longer fits into the time is named."""
    be_quiet()
    torch.use_deterministic_algorithms(True)
    # GradScaler with 16 bits is for GPUs only.
    precisions = ["32-true", "bf16-mixed", *(["16-mixed"] if setting.on_gpu else [])]
    kinds = [Kind(precision, optimizer) for precision in precisions for optimizer in ("foreach", "fused")]
    if not setting.small:
        kinds += [Kind("32-true", "foreach", compiled=True), Kind("bf16-mixed", "fused", compiled=True)]
    for kind in kinds:
        if setting.left < 25:
            yield Row(kind.name, "not reached")
            continue
        yield from of(kind, setting)


def of(kind: Kind, setting: Setting) -> Iterator[Row]:
    """The promises for one way to train."""
    plain_run = module_of(kind, setting)
    fit(plain_run, kind, setting, [], DENSE)
    witness = Witness()
    with tempfile.TemporaryDirectory() as folder:
        keep = ModelCheckpoint(folder, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
        module = module_of(kind, setting)
        trainer = fit(module, kind, setting, [*callbacks(), witness, keep], DENSE)
        ended = values_of(module)
        yield holds(f"{kind.name}: dense run as without pruning", same(values_of(plain_run), witness.dense))
        yield holds(f"{kind.name}: dead weights are zero after every step", not any(map(int, witness.regrown)))
        yield holds(f"{kind.name}: rewound bit for bit", witness.rewound and witness.started == {1, 2})
        yield holds(f"{kind.name}: masks lie with the weights, snapshots on the CPU", not witness.misplaced)
        if setting.on_gpu:
            bytes_a_weight = (witness.memory[1] - witness.memory[0]) / clock_of(trainer)._run.pruner.masks.size
            yield Row(
                f"{kind.name}: memory of the first prune, bytes a weight",
                bytes_a_weight,
                "<= 1.1",
                bytes_a_weight <= 1.1,
            )
        saved = sorted(Path(folder).glob("*.ckpt"))[:-1]
        differ = [path.stem for path in saved if not same(ended, resumed(path, kind, setting))]
        note = f"{len(saved)} checkpoints" + (f", differ: {', '.join(differ)}" if differ else "")
        yield holds(f"{kind.name}: resumed as uninterrupted", bool(saved) and not differ, note)


def callbacks() -> list[Callback]:
    """Rewinding to the second epoch in two cycles."""
    return [
        IterativePruning(cycles=CYCLES, retrain=f"{RETRAIN}ep", sparsity=LEVELS),
        WeightRewind(to="1ep"),
    ]


def module_of(kind: Kind, setting: Setting) -> LightningModule:
    """A new ResNet-8 whose weights and images are always the same."""
    seed_everything(0, verbose=False)
    steps, batch = (3, 4) if setting.small else (10, 64)
    module = Images(ResNet(depth=8, width=8), 32, batch, steps, setting.device, kind.optimizer)
    if kind.compiled:
        module.network.compile()
    return module


def fit(
    module: LightningModule, kind: Kind, setting: Setting, given: list[Callback], epochs: int, path: Path | None = None
) -> Trainer:
    """Train, or go on from a checkpoint."""
    trainer = Trainer(
        max_epochs=epochs, callbacks=given, precision=kind.precision, deterministic=True,
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in given), **setting.trainer,
    )  # fmt: skip
    trainer.fit(module, ckpt_path=path, weights_only=True)
    return trainer


def resumed(path: Path, kind: Kind, setting: Setting) -> dict[str, Tensor]:
    """The weights at the end of a fit that goes on from a checkpoint."""
    module = module_of(kind, setting)
    fit(module, kind, setting, callbacks(), DENSE, path)
    return values_of(module)


def clock_of(trainer: Trainer) -> IterativePruning:
    """The pruning callback of a trainer."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))


def values_of(module: LightningModule) -> dict[str, Tensor]:
    """Copies of all parameters and buffers."""
    return {plain_name(name): one.detach().clone() for name, one in module.state_dict().items()}


def plain_name(name: str) -> str:
    """A name without what compilation puts into it."""
    return name.replace("_orig_mod.", "")


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by plain names."""
    return {plain_name(name): one for name, one in tensors.items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether all values are the same bits."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def allocated(module: LightningModule) -> int:
    """The bytes that are allocated on the GPU of a module. 0 elsewhere."""
    return torch.cuda.memory_allocated(module.device) if module.device.type == "cuda" else 0
