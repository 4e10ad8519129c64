"""Weights that do not lie in memory in the order of their indices: channels-last, transposed, views of others."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from toys import STEPS, Images, Toy, equal, fit, seed_everything

from lightning_prune import IterativePruning, LRRewind, WeightRewind


class Layered(Toy):
    """Two convolutions and a linear layer; its weights lie as a function lays them."""

    def __init__(self, lay):
        seed_everything(0, verbose=False)
        super().__init__(optimizer=lambda p: torch.optim.AdamW(p, lr=0.01))
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(20, 3))
        lay(self.net)

    @property
    def pruned(self):
        return {name: weight for name, weight in self.named_parameters() if weight.dim() > 1}


def as_they_come(net):
    pass


def channels_last(net):
    net.to(memory_format=torch.channels_last)


def transposed(net):
    for layer in net:
        if hasattr(layer, "weight"):
            layer.weight = nn.Parameter(layer.weight.detach().transpose(0, 1).contiguous().transpose(0, 1))


def views_of_one(net):
    """All weights are parts of one vector, as in networks that are trained by a flat optimizer."""
    layers = [layer for layer in net if hasattr(layer, "weight")]
    flat = torch.cat([layer.weight.detach().flatten() for layer in layers])
    for layer, part in zip(layers, flat.split([layer.weight.numel() for layer in layers]), strict=True):
        layer.weight = nn.Parameter(part.view_as(layer.weight))


every_way = pytest.mark.parametrize("lay", [channels_last, transposed, views_of_one])
SIZE = 36 + 180 + 60


class Witness(Callback):
    def __init__(self):
        self.cycle, self.dead, self.checked = 0, {}, 0

    def on_train_batch_start(self, trainer, pl_module, *_):
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        if pruning.cycle is not None and pruning.cycle.index > self.cycle:
            self.cycle = pruning.cycle.index
            self.dead = {name: weight == 0 for name, weight in pl_module.pruned.items()}
            assert sum(int((~dead).sum()) for dead in self.dead.values()) == round(0.8**self.cycle * SIZE)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.checked += 1
        for name, dead in self.dead.items():
            assert not pl_module.pruned[name][dead].any()


def strides(module):
    return {name: weight.stride() for name, weight in module.pruned.items()}


def run(lay, folder=None, beside=LRRewind, ckpt_path=None):
    module, witness, keep = Layered(lay), Witness(), []
    if folder is not None:
        keep = [ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)]
    laid = strides(module)
    callbacks = [IterativePruning(cycles=2, retrain="1ep"), beside(), witness, *keep]
    data = Images(shuffle=True)
    trainer = fit(callbacks, module, data, ckpt_path, max_epochs=2, enable_checkpointing=folder is not None)
    assert strides(module) == laid, "the weights lie as they lay"
    return module, witness, trainer


@pytest.mark.parametrize("beside", [LRRewind, lambda: WeightRewind("1ep")], ids=["kept", "rewound"])
@every_way
def test_exactly_as_many_weights_as_scheduled_die_and_stay_dead(lay, beside):
    module, witness, _ = run(lay, beside=beside)
    assert witness.checked == 4 * STEPS
    assert sum(int(weight.count_nonzero()) for weight in module.pruned.values()) == round(0.64 * SIZE)


@every_way
def test_the_same_weights_die_however_they_lie(lay):
    class Dead(Callback):
        def on_cycle_start(self, trainer, pl_module, cycle):
            self.masks = {name: weight != 0 for name, weight in pl_module.pruned.items()}
            trainer.should_stop = True

    def masks(lay):
        dead = Dead()
        fit([IterativePruning(cycles=1, retrain="1ep"), dead], Layered(lay), max_epochs=0)
        return dead.masks

    assert equal(masks(lay), masks(as_they_come))


@pytest.mark.parametrize("beside", [LRRewind, lambda: WeightRewind("1ep")], ids=["kept", "rewound"])
@every_way
def test_a_resumed_run_is_the_same_run_and_lies_the_same(lay, beside, tmp_path):
    whole, _, trainer = run(lay, tmp_path / "whole", beside)
    again, _, other = run(lay, tmp_path / "again", beside, tmp_path / "whole" / "epoch=2.ckpt")
    assert equal(again.state_dict(), whole.state_dict())
    assert equal(other.optimizers[0].state_dict(), trainer.optimizers[0].state_dict())


def test_a_weight_rewind_gives_back_every_bit_of_a_channels_last_network():
    class Bits(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                self.saved = {name: weight.detach().clone() for name, weight in pl_module.pruned.items()}

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.current_epoch == 2 and batch_idx == 0:
                for name, weight in pl_module.pruned.items():
                    assert equal(weight[weight != 0], self.saved[name][weight != 0])
                self.looked = True

    bits = Bits()
    fit([IterativePruning(cycles=1), WeightRewind("1ep"), bits], Layered(channels_last), max_epochs=2)
    assert bits.looked
