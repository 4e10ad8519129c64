"""Modules that draw their weights in ways of their own."""

import torch
from lightning.pytorch import Callback
from torch import nn
from toys import Toy


class Order(Callback):
    """Notes the labels of every batch, and the state of the optimizer when a cycle has begun."""

    def __init__(self):
        self.labels, self.remembered = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.labels.append(batch[1].tolist())
        self.remembered.append(len(trainer.optimizers[0].state))


def by_hand(seed):
    """The layers of a toy one after another, from one seed."""
    module = Toy()
    torch.manual_seed(seed)
    for layer in module.net:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return module.state_dict()


class Own(nn.Module):
    """A scale of its own, of which nothing says how it is drawn."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(3, 2), nn.Parameter(torch.full((2,), 7.0))
