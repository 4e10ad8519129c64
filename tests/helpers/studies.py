"""Small studies that the tests share: a network with BatchNorm and dropout, shuffled data, epochs of few steps."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_prune.lab import Digits


class Dropping(nn.Module):
    """Linear, BatchNorm, dropout, linear: whatever draws or counts shows where a run is not repeated exactly."""

    def __init__(self, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


BASE: dict[str, Any] = {
    "trainer": {
        "max_epochs": 3,
        "accelerator": "cpu",
        "limit_val_batches": 1,
        "callbacks": [{"class_path": "lightning_prune.IterativePruning", "init_args": {"cycles": 2, "retrain": "2ep"}}],
    },
    "model": {
        "class_path": "lightning_prune.lab.Classifier",
        "init_args": {
            "network": {"class_path": "studies.Dropping"},
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
            "scheduler": {
                "class_path": "torch.optim.lr_scheduler.MultiStepLR",
                "init_args": {"milestones": [1, 2], "gamma": 0.5},
            },
        },
    },
    "data": {"class_path": "lightning_prune.lab.Digits", "init_args": {"batch_size": 32, "subset": 200}},
}


def study(arms: Any, **others: Any) -> dict[str, Any]:
    """The config of a study over the small base."""
    return {"base": deepcopy(BASE), "arms": arms, "seeds": [0], **others}


def weights_of(checkpoint: Any) -> dict[str, Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


class DrawingAlone(Digits):
    """Digits by a loader with a generator of its own, which no checkpoint holds."""

    def train_dataloader(self) -> DataLoader:
        loader = super().train_dataloader()
        loader.generator = torch.Generator().manual_seed(7)
        return loader
