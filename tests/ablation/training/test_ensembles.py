"""The ensemble of copies of any module: the metric of averaged softmax outputs, or the reason why there is none."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lightning_prune.ablation.training.ensemble import measured_ensemble
from lightning_prune.ablation.what_a_study_lacks import say_after

IMAGES, LABELS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
LOADER = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=16)


class Net(LightningModule):
    """A module of somebody's own, with BatchNorm, whose steps call it."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        self.layers[1].running_mean.uniform_()

    def forward(self, images):
        return self.layers(images)

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", functional.cross_entropy(self(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        scores = self.layers(batch[0])  # past the forward
        self.log("test/loss", functional.cross_entropy(scores, batch[1]))


class Past(Net):
    def validation_step(self, batch, batch_idx):
        self.log("val/loss", functional.cross_entropy(self.layers(batch[0]), batch[1]))


class Tuples(Net):
    def forward(self, images):
        return self.layers(images), None

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", functional.cross_entropy(self(batch[0])[0], batch[1]))


class Probable(Net):
    def forward(self, images):
        return self.layers(images).softmax(1)


def measured(kind, batch=(IMAGES, LABELS)):
    module, trainer = kind(), Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    states = [kind(seed).state_dict() for seed in (1, 2, 3)]
    before = {name: one.clone() for name, one in module.state_dict().items()}

    def through(loop, name):
        loop(module, LOADER, verbose=False)
        return float(trainer.callback_metrics[name])

    told = measured_ensemble(
        module, states, batch, lambda: through(trainer.validate, "val/loss"), lambda: through(trainer.test, "test/loss")
    )
    assert "forward" not in vars(module), "the module has its own forward again"
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    return told


def test_any_module_that_calls_its_forward_is_measured_by_averaged_softmax_outputs():
    copies = [Net(seed).eval() for seed in (1, 2, 3)]
    with torch.no_grad():
        mean = torch.stack([one(IMAGES).softmax(1) for one in copies]).mean(0)
    told = measured(Net)
    assert told["ensemble"] == pytest.approx(functional.nll_loss(mean.log(), LABELS).item(), rel=1e-5)
    assert told["ensemble_test"] is None, "the test does not call the forward, so it is of one copy"


@pytest.mark.parametrize(
    ("kind", "batch", "said"),
    [
        (Past, (IMAGES, LABELS), "the validation of Past does not call its forward"),
        (Tuples, (IMAGES, LABELS), r"forward of Tuples has to return logits, .* and it returns tuple"),
        (Probable, (IMAGES, LABELS), "and it returns probabilities"),
        (Net, {"x": IMAGES}, r"predictions of Net cannot be averaged: its batches are not \(inputs, labels\)"),
        (Net, (IMAGES, IMAGES), "the second part of its batches is no tensor of whole numbers"),
    ],
    ids=["past the forward", "tuples", "probabilities", "mappings", "targets"],
)
def test_what_cannot_be_averaged_is_left_out_with_a_reason_that_is_said_once(kind, batch, said):
    told = measured(kind, batch)
    assert told.keys() == {"no_ensemble"}
    results = [{"rows": [{"metric": "val/loss"}], "soup": told}] * 2
    with pytest.warns(UserWarning, match=said) as caught:
        say_after([], results)
    assert len(caught) == 1
