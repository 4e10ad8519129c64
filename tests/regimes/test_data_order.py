"""Copies of a pruned network differ in the order of their data only, and the order is that of a seed."""

import pytest
import torch
from toys import Images, fit, toy

from lightning_prune import DataOrder, FineTune, IterativePruning, OneShot, UserError


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    path = tmp_path_factory.mktemp("dense") / "dense.ckpt"
    fit([IterativePruning(cycles=0)], toy(), Images(shuffle=True)).save_checkpoint(path)
    return path


def copy(dense, seed):
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), dense_run=dense)
    module = toy()
    fit([pruning, FineTune(lr=0.1), DataOrder(seed)], module, Images(shuffle=True), max_epochs=0)
    return {name: one.clone() for name, one in module.state_dict().items()}, pruning.masks


def test_a_seed_decides_the_retraining_and_nothing_else(dense):
    (first, masks), (again, _), (other, other_masks) = copy(dense, 1), copy(dense, 1), copy(dense, 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert masks.keys() == other_masks.keys()
    assert all(torch.equal(masks[name], other_masks[name]) for name in masks)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="seed"):
        DataOrder(-1)
