"""What Lightning's own ModelPruning does where the README says that we do otherwise. Run it: it measures."""

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, __version__, seed_everything
from lightning.pytorch.callbacks import ModelPruning
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_prune import IterativePruning, WeightRewind


class Small(LightningModule):
    """Two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        seed_everything(0, verbose=False)
        self.net = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch: Any, index: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def train_dataloader(self) -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(0)
        return DataLoader(TensorDataset(torch.randn(64, 32, generator=generator), torch.arange(64) % 2), batch_size=16)


class FirstSteps(Callback):
    """How far the living weights are from their initial values when an epoch begins."""

    def __init__(self, initial: Tensor) -> None:
        self.initial, self.distances = initial, list[float]()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        if index == 0:
            layer = module.get_submodule("net.0")
            weight = getattr(layer, "weight_orig", layer.weight).detach()
            alive = layer.weight.detach() != 0
            self.distances.append(float((weight - self.initial)[alive].abs().max()))


def fit(module: LightningModule, callbacks: list[Callback], epochs: int, ckpt_path: Path | None = None) -> Trainer:
    """Train without output."""
    trainer = Trainer(
        max_epochs=epochs, callbacks=callbacks, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, ckpt_path=ckpt_path)
    return trainer


def sparsity(module: nn.Module) -> float:
    """The fraction of weights that are zero."""
    weights = [m.weight for m in module.modules() if isinstance(m, nn.Linear)]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def models(amount: float = 0.2, **options: Any) -> ModelPruning:
    """Lightning's callback."""
    options = {"use_lottery_ticket_hypothesis": False, **options}
    return ModelPruning(
        "l1_unstructured", parameter_names=["weight"], amount=amount, use_global_unstructured=True, **options
    )


def resumed(kind: str, folder: Path) -> str:
    """Sparsity when the run was stopped, and one epoch after it was resumed."""
    module, path = Small(), folder / f"{kind}.ckpt"
    callbacks = [models(apply_pruning=lambda epoch: epoch < 3)] if kind == "ModelPruning" else [ours()]
    fit(module, callbacks, 3 if kind == "ModelPruning" else 1).save_checkpoint(path)
    before, again = sparsity(module), Small()
    callbacks = [models(apply_pruning=lambda epoch: epoch < 3)] if kind == "ModelPruning" else [ours(cycles=4)]
    fit(again, callbacks, 4 if kind == "ModelPruning" else 1, path)
    return f"{before:.1%} before, {sparsity(again):.1%} after one more epoch"


def plain_keys(kind: str) -> str:
    """Whether the checkpoint's weights load into the plain module."""
    module = Small()
    callback = models(make_pruning_permanent=False) if kind == "ModelPruning" else ours()
    fit(module, [callback], 2)
    try:
        Small().load_state_dict(module.state_dict())
    except RuntimeError:
        return f"no: the keys are {', '.join(list(module.state_dict())[:3])}, ..."
    return "yes"


def rewound(kind: str) -> str:
    """The largest distance of a living weight to its rewind point, at the start of each pruned epoch or cycle."""
    module = Small()
    watch = FirstSteps(copy.deepcopy(module.net[0].weight.detach()))
    lottery = models(use_lottery_ticket_hypothesis=True)
    fit(
        module,
        [lottery, watch] if kind == "ModelPruning" else [ours(cycles=3), WeightRewind(0), watch],
        4 if kind == "ModelPruning" else 1,
    )
    return ", ".join(f"{distance:.2f}" for distance in watch.distances[1:])


def ours(cycles: int = 3) -> IterativePruning:
    """The same of ours."""
    return IterativePruning(cycles=cycles, retrain="1ep")


def main() -> None:
    """Measure both and print."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("ModelPruning", "IterativePruning"):
            print(f"{kind} (lightning {__version__})" if kind == "ModelPruning" else kind)
            print(f"  sparsity, stopped and resumed:          {resumed(kind, Path(folder))}")
            print(f"  state_dict loads into the plain module: {plain_keys(kind)}")
            print(f"  distance to the rewind point:           {rewound(kind)}")


if __name__ == "__main__":
    main()
