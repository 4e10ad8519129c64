"""A prune of whole units says where a layer becomes much narrower than the rest, and is silent otherwise."""

import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from lightning_prune import IterativePruning, OneShot, Structures, layerwise, prune

IMAGES = torch.randn(8, 16)


class Uneven(LightningModule):
    """Three layers, of which the second has small weights: over all layers, nearly all of its units score lowest."""

    def __init__(self, small: float = 1e-3) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)
        )
        with torch.no_grad():
            self.net[2].weight[:31] *= small
            self.net[2].bias[:31] *= small
            self.net[4].weight[:, :31] *= small

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.net(inputs)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        return self.net(batch).square().mean()

    def train_dataloader(self) -> DataLoader:
        return DataLoader(IMAGES, batch_size=8)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-9)


def by_function(module: nn.Module, **arguments) -> None:
    prune(module, 0.33, granularity=Structures(), measure="units", batches=[IMAGES], **arguments)


def by_callback(module: LightningModule, **arguments) -> None:
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.33), granularity=Structures(), measure="units", **arguments
    )
    Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[pruning], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(module)  # fmt: skip


@pytest.mark.parametrize(("pruned", "said"), [(by_function, r"prune\(sparsity=0\.33\)"), (by_callback, "Cycle 1")])
def test_a_layer_that_becomes_narrow_is_named(pruned, said):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match=rf"{said} leaves few units alive in single groups: 1 of 32 in net\.2"):
        pruned(Uneven())


@pytest.mark.parametrize("pruned", [by_function, by_callback])
@pytest.mark.parametrize(("small", "arguments"), [(1e-3, {"allocation": layerwise}), (1.0, {})])
def test_nothing_is_said_where_the_layers_are_pruned_alike(pruned, small, arguments):
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pruned(Uneven(small), **arguments)
    assert not [one for one in caught if "few units" in str(one.message)]


def test_it_is_said_once_when_it_happens():
    torch.manual_seed(0)
    module = Uneven()
    with pytest.warns(UserWarning, match="few units"):
        by_function(module)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prune(module, 0.36, granularity=Structures(), measure="units", batches=[IMAGES])
    assert not [one for one in caught if "few units" in str(one.message)]
