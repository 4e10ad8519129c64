"""Masking, training and removing is removing and training: to 1e-12 in float64, for every elementwise optimizer."""

import copy

import pytest
import torch
from lightning.pytorch import Callback
from slicing import kept_indices, moved_state, removed
from structured import structured
from toys import fit

from lightning_prune import EstimateBatchNorm, IterativePruning, OneShot, Structures, structures_of
from lightning_prune.masks.optimizer_state import _ELEMENTWISE

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.02),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.02),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.001),
}
OPTIONS = {"plain": {}, "clipped": {"gradient_clip_val": 0.3}, "accumulated": {"accumulate_grad_batches": 2}}


class Look(Callback):
    """Copies the network and its optimizer when the cycle trains its first batch, and notes what it is trained on."""

    def __init__(self):
        self.batches, self.start = [], None

    def on_train_batch_start(self, trainer, pl_module, batch, index):
        clock = trainer.callbacks[0]
        if clock.cycle is None:
            return
        if self.start is None:
            self.start = copy.deepcopy(pl_module.net)
            self.optimizer = trainer.optimizers[0].optimizer if hasattr(trainer.optimizers[0], "optimizer") else None
            self.optimizer = self.optimizer or trainer.optimizers[0]
            self.found = structures_of(pl_module.net, torch.zeros(1, 1, 6, 6, dtype=torch.float64))
            masks = clock._run.pruner._unit_masks()
            self.alive = {name.removeprefix("net."): mask.clone() for name, mask in masks.items()}
            self.small = removed(self.start, self.found, self.alive)
            keep = kept_indices(self.found, self.alive)
            self.state = moved_state(self.optimizer, pl_module.net, self.small, keep)
        self.batches.append([one.clone() for one in batch])


def train(small, state, batches, make, clip=None, window=1):
    """Train the small network as the Trainer trains the masked one."""
    optimizer = make(small.parameters())
    optimizer.state.update(state)
    small.train()
    for number, (x, y) in enumerate(batches, start=1):
        loss = torch.nn.functional.cross_entropy(small(x), y) / window
        loss.backward()
        if number % window == 0:
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(small.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()


def test_every_elementwise_optimizer_is_under_the_law():
    parameter = torch.nn.Parameter(torch.ones(1))
    assert {type(make([parameter])) for make in OPTIMIZERS.values()} == _ELEMENTWISE - {torch.optim.SparseAdam}


CASES = [(name, "plain") for name in OPTIMIZERS] + [
    (n, o) for n in ("sgd", "adamw") for o in ("clipped", "accumulated")
]


SINGLE = Structures(coupled=False, round_to=2)


@pytest.mark.parametrize(
    ("optimizer", "options", "granularity"),
    [*((*case, Structures()) for case in CASES), ("sgd", "clipped", SINGLE), ("adam", "plain", SINGLE)],
)
def test_masked_training_then_removing_is_removing_then_training(optimizer, options, granularity):
    make, look = OPTIMIZERS[optimizer], Look()
    pruning = IterativePruning(cycles=1, retrain="2ep", sparsity=OneShot(0.5), granularity=granularity, measure="units")
    module = structured(optimizer=make)
    fit([pruning, look], module, max_epochs=1, precision="64-true", **OPTIONS[options])
    assert any(not bool(mask.all()) for mask in look.alive.values())
    train(
        look.small, look.state, look.batches, make, OPTIONS[options].get("gradient_clip_val"),
        OPTIONS[options].get("accumulate_grad_batches", 1),
    )  # fmt: skip
    tensors = dict(module.net.named_parameters())
    for name, alive in look.alive.items():
        for one in look.found.groups[name].slices:
            if one.role != "statistic":  # rows, biases, scales, shifts and columns
                dead = (one.units >= 0) & (alive[one.units.clamp(min=0)] == 0)
                assert not tensors[one.tensor].detach().movedim(one.dim, 0)[dead].any(), (one.tensor, one.role)
    masked = removed(module.net, look.found, look.alive)
    for (name, ours), theirs in zip(masked.state_dict().items(), look.small.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
    x = torch.randn(5, 1, 6, 6, dtype=torch.float64)
    for mode in (True, False):
        torch.testing.assert_close(module.net.train(mode)(x), masked.train(mode)(x), rtol=1e-12, atol=1e-12)


def test_the_costs_of_what_is_left_are_those_of_the_small_network():
    look = Look()
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=Structures())
    module = structured()
    fit([pruning, look], module, max_epochs=1, precision="64-true")
    sizes = [sum(one.numel() for one in net.parameters()) for net in (module.net, look.small)]
    assert pruning.measured_sparsity == pytest.approx(1 - sizes[1] / sizes[0], abs=1e-12)
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.03)


def test_estimated_statistics_of_what_is_left_are_those_of_the_small_network():
    look = Look()
    pruning = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=Structures(), measure="units"
    )
    module = structured()
    fit([pruning, EstimateBatchNorm(batches=None), look], module, max_epochs=1, precision="64-true")
    small = copy.deepcopy(look.small)
    for layer in small.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    seen = []
    with torch.no_grad():
        small.train()
        for batch in look.batches:
            small(batch[0])
            seen.append(len(batch[0]))
    for name, buffer in small.named_buffers():
        torch.testing.assert_close(buffer, look.small.get_buffer(name), rtol=1e-9, atol=1e-9, check_dtype=False)
