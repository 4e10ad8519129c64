"""Runs under which masks move, and a witness that counts with eyes of its own."""

import torch
from lightning.pytorch import Callback
from toys import Images, fit, toy

from lightning_prune import ACDC, SET, RigL, erk, globally, layerwise

PRUNED = ("net.0.weight", "net.4.weight", "net.7.weight")
SIZE = 36 + 640 + 30
MEMBERS = {
    "rigl": lambda: RigL(0.6, every="2it", until=0.8),
    "rigl by epochs": lambda: RigL(0.6, layerwise, every="1ep", fraction=0.5, until="4ep"),
    "set": lambda: SET(0.6, every="1ep"),
    "set by steps": lambda: SET(0.6, globally, every="3it", fraction=0.4),
    "acdc": lambda: ACDC(0.6, prune_at=["1ep", "3ep"], release_at=["2ep"]),
    "acdc by steps": lambda: ACDC(0.6, ["4it", "14it"], ["9it"], allocation=erk, optimizer_state="mask"),
}


def weights_of(module):
    return {name: module.get_parameter(name).detach() for name in PRUNED}


def moving(trainer):
    """The callback of the family."""
    return next(one for one in trainer.callbacks if hasattr(one, "move_"))


def momenta(trainer):
    """Every tensor of the optimizers' state that has the shape of a weight, by its name."""
    names = {weight: name for name, weight in trainer.lightning_module.named_parameters()}
    for optimizer in trainer.optimizers:
        for weight, state in optimizer.state.items():
            for moment in state.values():
                if isinstance(moment, torch.Tensor) and moment.shape == weight.shape and names[weight] in PRUNED:
                    yield names[weight], moment


class Witness(Callback):
    """Notes what lives after every batch, and looks at the weights and moments that die or come back."""

    def __init__(self):
        self.counts, self.came_back, self.died, self.masks = [], 0, 0, []

    def on_train_start(self, trainer, pl_module):
        self.living = self.whole_masks(trainer)

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.look(trainer)

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.look(trainer)
        self.counts.append({name: int(mask.sum()) for name, mask in self.living.items()})
        self.masks.append(self.living)
        for name, weight in weights_of(pl_module).items():
            assert not weight[~self.living[name]].any(), (name, trainer.global_step)

    def whole_masks(self, trainer):
        held = moving(trainer).masks
        weights = weights_of(trainer.lightning_module)
        return {name: held.get(name, torch.ones_like(weight).bool()).clone() for name, weight in weights.items()}

    def look(self, trainer):
        before, self.living = self.living, self.whole_masks(trainer)
        for name, weight in weights_of(trainer.lightning_module).items():
            new, dead = self.living[name] & ~before[name], ~self.living[name] & before[name]
            self.came_back, self.died = self.came_back + int(new.sum()), self.died + int(dead.sum())
            assert not weight[new | dead].any(), "what comes back starts at zero"
            for _, moment in (pair for pair in momenta(trainer) if pair[0] == name):
                assert not moment[new | dead].any(), "what comes back has no momentum"


def run(make, *beside, module=None, data=None, ckpt_path=None, **options):
    """Train a toy for four epochs of six batches."""
    callback = make()
    trainer = fit([callback, *beside], module or toy(), data or Images(), ckpt_path, **options)
    return trainer, callback
