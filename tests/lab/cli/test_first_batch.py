"""The batch that shows the sizes of a network: of the validation, or else of the training, with all hooks of the run."""

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader

from lightning_prune import UserError
from lightning_prune.lab.runs.first_batch import batch_of


class Bare(LightningModule):
    """Trains, and does nothing else."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch * 10


class Loading(Bare):
    def train_dataloader(self):
        return DataLoader(self.rows, batch_size=2)

    def setup(self, stage):
        self.rows = torch.ones(4, 3)


class Validating(Loading):
    def validation_step(self, batch, index):
        assert not self.layer.weight.requires_grad or not torch.is_grad_enabled()

    def val_dataloader(self):
        return DataLoader(2 * self.rows, batch_size=4)


class Rows(LightningDataModule):
    def train_dataloader(self):
        return [DataLoader(torch.ones(4, 3), batch_size=2), DataLoader(torch.zeros(4, 3), batch_size=1)]


class Hooked(Rows):
    def train_dataloader(self):
        return DataLoader(torch.ones(4, 3), batch_size=2)

    def val_dataloader(self):
        return []

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch * (5 if self.trainer.world_size == 1 else 0)


class Two(Bare):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [10 * one for one in batch]


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
@pytest.mark.parametrize(
    ("module", "data", "expected"),
    [
        (Validating(), None, torch.full((4, 3), 20.0)),
        (Loading(), None, torch.full((2, 3), 10.0)),
        (Validating(), Hooked(), torch.full((2, 3), 5.0)),
        (Two(), Rows(), [torch.full((2, 3), 10.0), torch.zeros(1, 3)]),
    ],
    ids=["validation", "training", "an empty validation", "two loaders"],
)
def test_the_batch_is_what_the_module_gets(module, data, expected):
    before = {name: one.clone() for name, one in module.state_dict().items()}
    found = batch_of(module, data)
    assert type(found) is type(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())


def test_without_data_the_example_of_the_module_is_enough():
    module = Bare()
    with pytest.raises(
        UserError, match="give a training or validation loader with batches, or set example_input_array"
    ):
        batch_of(module, None)
    module.example_input_array = torch.zeros(1, 3)
    assert batch_of(module, None) is None
