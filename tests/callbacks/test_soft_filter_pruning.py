"""SoftFilterPruning: the weakest filters are zero after every dense epoch, and grow again."""

from dataclasses import replace

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import fit, toy

from lightning_prune import IterativePruning, OneShot, Prunable, SoftFilterPruning
from lightning_prune.callbacks.companions.soft_filter_pruning import zero_weakest_


def convolutions(module):
    return {name: weight.detach().clone() for name, weight in module.named_parameters() if weight.dim() == 4}


def zeros(weight):
    return int((weight.flatten(1).abs().sum(1) == 0).sum())


class Watched:
    """A toy that counts its zero filters when an epoch begins, and just before it ends."""

    def __init__(self):
        self.module = toy()
        self.begun, self.ended = [], []
        self.module.on_train_epoch_start = lambda: self.begun.append(self.count())
        self.module.on_train_batch_end = lambda *_: self.ended.append(self.count())

    def count(self):
        return {name: zeros(weight) for name, weight in convolutions(self.module).items()}


def test_the_weakest_filters_are_zero_when_an_epoch_begins_and_grow_in_it():
    watched = Watched()
    expected = {name: int(0.3 * len(weight)) for name, weight in convolutions(watched.module).items()}
    assert any(expected.values())
    fit([IterativePruning(cycles=0), SoftFilterPruning(0.3)], watched.module, max_epochs=3)
    assert watched.begun == [expected] * 3
    assert sum(watched.ended[-1].values()) < sum(expected.values())
    assert watched.count() == expected


def test_the_filters_that_go_are_those_of_the_smallest_norm():
    weight = torch.randn(10, 4, 3, 3)
    norms = weight.flatten(1).norm(dim=1)
    pruned = weight.clone()
    zero_weakest_(pruned, 0.35)
    gone = norms.argsort()[:3]
    assert zeros(pruned) == 3
    assert not pruned[gone].any()
    living = norms.argsort()[3:]
    assert torch.equal(pruned[living], weight[living])


def test_after_the_prune_only_the_masks_count():
    module = toy()
    fit(
        [IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.01)), SoftFilterPruning(0.5)],
        module,
        max_epochs=1,
    )
    dead = {name: zeros(weight) for name, weight in convolutions(module).items()}
    assert sum(dead.values()) < sum(int(0.5 * len(weight)) for weight in convolutions(module).values())


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    def callbacks():
        return [IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5)), SoftFilterPruning(0.4)]

    whole = toy()
    keep = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    fit([*callbacks(), keep], whole, max_epochs=2)
    for path in sorted(tmp_path.glob("*.ckpt"))[:-1]:
        resumed = toy()
        fit(callbacks(), resumed, max_epochs=2, ckpt_path=path)
        for name, tensor in whole.state_dict().items():
            assert torch.equal(resumed.state_dict()[name], tensor), (path.name, name)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"SoftFilterPruning\(fraction=.*between 0 and 1"):
        SoftFilterPruning(fraction)


def test_a_selection_without_convolutions_is_refused():
    with pytest.raises(ValueError, match="finds no convolution"):
        fit([IterativePruning(cycles=0), SoftFilterPruning(0.3, prunable=linear_layers)], toy(), max_epochs=1)


def linear_layers(module):
    selected = Prunable()(module)
    return replace(selected, weights={name: one for name, one in selected.weights.items() if one.dim() == 2})
