"""The state of the optimizers at a rewind: forgotten, or taken back to the rewind point with the weights."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from resumed_runs import compare, run
from toys import Images, equal, fit, sgd, step_decay, toy

from lightning_prune import IterativePruning, OneShot, WeightRewind
from lightning_prune.callbacks.starting_points import weight_rewind
from lightning_prune.masks.optimizer_state import put_back_, snapshot_of

pytestmark = pytest.mark.filterwarnings("ignore:.*removes nothing in cycle 2")
OPTIMIZERS = {
    "SGD": sgd,
    "Adam": partial(torch.optim.Adam, lr=0.01, amsgrad=True),
    "fused AdamW": partial(torch.optim.AdamW, lr=0.01, fused=True),
    "NAdam": partial(torch.optim.NAdam, lr=0.01),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.01),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.01, momentum=0.9, centered=True),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
rewound = partial(WeightRewind, to="1ep", moments="rewind")


class Ends(Callback):
    """The weights and the state of the optimizer after every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_end(self, trainer, pl_module):
        weights = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
        self.seen.append((weights, snapshot_of(trainer.optimizers[0])))


@every_optimizer
def test_with_nothing_pruned_a_cycle_is_the_rest_of_the_dense_run_once_more_bit_for_bit(optimizer):
    ends = Ends()
    pruning = IterativePruning(cycles=2, sparsity=OneShot(0.0))
    fit([pruning, rewound(), ends], toy(optimizer=optimizer, dropout=0.0), max_epochs=3)
    dense = ends.seen[1:3]
    for cycle in (ends.seen[3:5], ends.seen[5:7]):
        assert equal(cycle, dense)


def test_without_it_the_optimizer_starts_as_a_new_one():
    ends = Ends()
    fit(
        [IterativePruning(cycles=1, sparsity=OneShot(0.0)), WeightRewind(to="1ep"), ends],
        toy(dropout=0.0),
        max_epochs=3,
    )
    assert not equal(ends.seen[3], ends.seen[1])


class Starts(Callback):
    """The state of the optimizer before the first batch of every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            places = {name: place for place, (name, _) in enumerate(pl_module.named_parameters())}
            masks = {places[name]: mask for name, mask in trainer.callbacks[0].masks.items()}
            self.seen.append((snapshot_of(trainer.optimizers[0]), masks))


@pytest.mark.parametrize("treatment", ["mask", "keep", "reset"])
def test_every_cycle_starts_from_the_moments_of_the_rewind_point_but_those_of_dead_weights(treatment):
    starts = Starts()
    pruning = IterativePruning(cycles=2, optimizer_state=treatment)
    fit([pruning, rewound(), starts], toy(), max_epochs=2)
    point = starts.seen[1][0]
    for state, masks in (starts.seen[2], starts.seen[3]):
        assert masks
        for place, moments in point.items():
            expected = moments["momentum_buffer"] * masks.get(place, torch.ones(()))
            assert torch.equal(state[place]["momentum_buffer"], expected)


@pytest.mark.parametrize("optimizer", [sgd, OPTIMIZERS["NAdam"]], ids=["SGD", "NAdam"])
def test_resumed_it_is_the_same_run(optimizer, tmp_path):
    arguments = (lambda: [rewound()], step_decay, optimizer)
    run(tmp_path / "whole", *arguments, max_epochs=2)
    for epoch in (0, 1, 2):
        run(tmp_path / f"{epoch}", *arguments, tmp_path / "whole" / f"epoch={epoch}.ckpt", max_epochs=2)
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, 4)) == 3 - epoch


def test_a_dense_run_of_before_hands_them_over_and_is_refused_where_it_has_none(tmp_path):
    one, other = toy(), toy()
    fit([IterativePruning(cycles=2), rewound()], one, Images(shuffle=True), max_epochs=2)
    for name, moments in (("with", "rewind"), ("without", "reset")):
        dense = fit(
            [IterativePruning(cycles=0), WeightRewind("1ep", moments=moments)],
            toy(),
            Images(shuffle=True),
            max_epochs=2,
        )
        dense.save_checkpoint(tmp_path / f"{name}.ckpt")
    fit(
        [IterativePruning(cycles=2, dense_run=tmp_path / "with.ckpt"), rewound()],
        other,
        Images(shuffle=True),
        max_epochs=0,
    )
    assert equal(one.state_dict(), other.state_dict())
    with pytest.raises(ValueError, match=r"cycles=0\) and WeightRewind\(to='1ep', moments='rewind'\)"):
        fit([IterativePruning(cycles=2, dense_run=tmp_path / "without.ckpt"), rewound()], toy(), max_epochs=0)


def test_a_fresh_optimizer_is_what_the_initial_weights_go_back_to():
    starts = Starts()
    fit([IterativePruning(cycles=1), WeightRewind(to=0, moments="rewind"), starts], toy(), max_epochs=1)
    assert [state for state, _ in starts.seen] == [{}, {}]


def test_a_snapshot_keeps_histories_apart():
    weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = torch.optim.LBFGS([weight], max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = (weight**4).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    before, at = snapshot_of(optimizer), weight.detach().clone()
    optimizer.step(closure)
    once = weight.detach().clone()
    for _ in range(2):
        with torch.no_grad():
            weight.copy_(at)
        put_back_(optimizer, before)
        optimizer.step(closure)
        assert torch.equal(weight, once)


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"WeightRewind\(moments='keep'\) is unknown: give 'reset' or 'rewind'"):
        WeightRewind(to=0, moments="keep")
    monkeypatch.setattr(weight_rewind, "is_sharded", lambda tensor: True)
    with pytest.raises(
        ValueError, match=r"WeightRewind\(moments='rewind'\) needs whole weights, and these are sharded"
    ):
        fit([IterativePruning(cycles=1), rewound()], toy(), max_epochs=2)
