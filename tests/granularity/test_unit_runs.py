"""Whole units in a fit: exact zeros, exact resume, tickets, several measures, and what is refused."""

import itertools

import pytest
import torch
from resumed_runs import Keep
from toys import Images, equal, fit, toy

from lightning_prune import (
    Blocks,
    Filters,
    IterativePruning,
    Linear,
    OneShot,
    Prunable,
    WeightRewind,
    Weights,
    WholeFilters,
    WithFloor,
    load_ticket,
)  # fmt: skip
from lightning_prune.criteria import Filters as FilterScores
from lightning_prune.criteria import magnitude, random

CONVOLUTIONS = Prunable(types=[torch.nn.Conv2d])


UNITS = [Filters(), Blocks(2, 3), Filters(reduce="l2")]


def pruning(**options):
    return IterativePruning(**{"cycles": 2, "retrain": "1ep", **options})


def living(weight):
    """Whether each filter has a living weight, after a look that those that have one are whole."""
    alive = weight.detach().flatten(1) != 0
    assert (alive.all(1) | ~alive.any(1)).all(), "a filter is half dead"
    return alive.any(1)


@pytest.mark.parametrize("criterion", [magnitude, random])
def test_filters_die_whole_while_the_network_trains_and_stay_dead(criterion):
    seen, module = [], toy()
    module.on_train_epoch_end = lambda: seen.append(living(module.net[0].weight))
    callback = pruning(
        cycles=3, retrain=None, during="1ep:4ep", sparsity=Linear(0.75, 3), criterion=criterion, prunable=CONVOLUTIONS,
        granularity=Filters(),
    )  # fmt: skip
    fit([callback], module, Images(shuffle=True), max_epochs=6)
    assert [int(alive.sum()) for alive in seen] == [4, 4, 3, 2, 1, 1]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(seen))


def test_the_span_inside_the_dense_run_begins_with_its_own_sparsity_once():
    module, seen = toy(), []
    module.on_train_epoch_end = lambda: seen.append(int(living(module.net[0].weight).sum()))
    callback = pruning(
        cycles=2, retrain=None, during="1ep:3ep", sparsity=Linear(0.75, 2, initial=0.5), prunable=CONVOLUTIONS,
        granularity=Filters(), measure="units",
    )  # fmt: skip
    fit([callback], module, max_epochs=4)
    assert seen == [4, 2, 2, 1]  # 0.625 of four filters is 1.5, rounded to the even 2


def test_the_filters_with_the_smallest_l1_norm_die():
    module, norms = toy(), []

    def remember():
        if module.trainer.current_epoch == 1:
            norms.append(module.net[0].weight.detach().flatten(1).abs().sum(1).clone())

    module.on_train_epoch_end = remember
    fit([pruning(cycles=1, sparsity=OneShot(0.5), prunable=CONVOLUTIONS, granularity=Filters())], module, max_epochs=2)
    assert set(living(module.net[0].weight).nonzero().flatten().tolist()) == set(norms[0].topk(2).indices.tolist())


def test_filters_give_the_run_of_the_former_pair_where_both_keep_as_many():
    runs = []
    with pytest.warns(DeprecationWarning, match=r"granularity=lightning_prune.Filters\(\)"):
        former = {"criterion": FilterScores(magnitude), "allocation": WholeFilters()}
    for options in (former, {"granularity": Filters()}):
        module = toy()
        fit([pruning(cycles=1, sparsity=OneShot(0.5), prunable=CONVOLUTIONS, **options)], module, max_epochs=2)
        runs.append(module.state_dict())
    assert equal(*map(dict, runs))


@pytest.mark.parametrize("granularity", UNITS, ids=repr)
@pytest.mark.parametrize("measure", ["weights", "units", "flops"])
def test_a_run_holds_its_units_at_zero_and_resumes_exactly(granularity, measure, tmp_path):
    def callbacks():
        return [pruning(granularity=granularity, measure=measure, retrain="2ep"), WeightRewind(to="1ep")]

    whole = fit(callbacks(), toy(), max_epochs=2)
    whole.save_checkpoint(tmp_path / "end.ckpt")
    clock = whole.callbacks[0]
    for name, mask in clock.masks.items():
        weight = whole.lightning_module.get_parameter(name).detach()
        assert not weight[~mask].any()
        assert weight[mask].all()
    assert clock.measured_sparsity == pytest.approx(clock.scheduled(2), abs=0.08)
    fit([*callbacks(), Keep(tmp_path / "middle.ckpt", epoch=2)], toy(), max_epochs=2)
    again = fit(callbacks(), toy(), ckpt_path=tmp_path / "middle.ckpt", max_epochs=2)
    assert equal(dict(again.lightning_module.state_dict()), dict(whole.lightning_module.state_dict()))
    assert equal(again.callbacks[0].masks, clock.masks)


def test_the_default_leaves_no_trace_in_what_is_saved():
    plain, named = pruning(), pruning(granularity=Weights(), measure="weights")
    fit([plain], toy(), max_epochs=1)
    fit([named], toy(), max_epochs=1)
    assert plain.state_dict().keys() == named.state_dict().keys()
    assert "units" not in plain.state_dict()
    assert not {"granularity", "measure"} & plain.state_dict()["settings"].keys()
    assert plain.state_dict()["settings"] == named.state_dict()["settings"]


def test_another_granularity_is_refused_where_a_run_resumes(tmp_path):
    fit([pruning(granularity=Filters())], toy(), max_epochs=2).save_checkpoint(tmp_path / "a.ckpt")
    for options, message in (
        ({}, r"granularity: the checkpoint has \"Filters\(reduce='mean'\)\", this run 'Weights\(\)'"),
        ({"granularity": Blocks(2, 2)}, "granularity: the checkpoint has"),
        ({"granularity": Filters(), "measure": "flops"}, "measure: the checkpoint has 'weights', this run 'flops'"),
        ({"granularity": Filters(), "prunable": CONVOLUTIONS}, "prunable: the checkpoint has"),
    ):
        with pytest.raises(ValueError, match=message):
            fit([pruning(**options)], toy(), ckpt_path=tmp_path / "a.ckpt", max_epochs=2)


def test_a_ticket_of_filters_holds_masks_of_weights_and_starts_a_run_of_filters(tmp_path):
    first = pruning(granularity=Filters(), sparsity=OneShot(0.5), cycles=1)
    fit([first, WeightRewind(to="1ep")], toy(), max_epochs=2)
    first.save_ticket(tmp_path / "t.safetensors")
    ticket = load_ticket(tmp_path / "t.safetensors")
    assert equal(dict(ticket.masks), first.masks)
    second = pruning(granularity=Filters(), sparsity=OneShot(0.75), cycles=1, initial_masks=tmp_path / "t.safetensors")
    fit([second], toy(), max_epochs=1)
    assert all(not (mask & ~first.masks[name]).any() for name, mask in second.masks.items() if name in first.masks)


def test_a_ticket_of_single_weights_is_refused_as_the_start_of_filters(tmp_path):
    first = pruning(sparsity=OneShot(0.5), cycles=1)
    fit([first], toy(), max_epochs=1)
    first.save_ticket(tmp_path / "t.safetensors")
    second = pruning(granularity=Filters(), sparsity=OneShot(0.75), cycles=1, initial_masks=tmp_path / "t.safetensors")
    with pytest.raises(ValueError, match="units that are dead in part: it was made with another granularity"):
        fit([second], toy(), max_epochs=1)


def test_filters_that_are_all_zero_start_dead_and_single_zeros_do_not():
    module = toy()
    with torch.no_grad():
        module.net[0].weight[1] = 0
        module.net[0].weight[2, 0, 0, 0] = 0
    callback = pruning(granularity=Filters(), measure="units", sparsity=OneShot(0.5), cycles=1, initial_masks="zeros")
    seen = []
    module.on_train_epoch_end = lambda: seen.append({n: int((~m).sum()) for n, m in callback.masks.items()})
    fit([callback], module, max_epochs=1)
    assert seen[0] == {"net.0.weight": 9}


@pytest.mark.parametrize("granularity", [Weights(), Filters()], ids=repr)
@pytest.mark.parametrize("measure", ["weights", "flops"])
def test_what_nobody_trains_stays_dense_and_is_no_part_of_the_fraction_of_weights(granularity, measure):
    module = toy(optimizer=lambda parameters: torch.optim.SGD(list(parameters)[:6], lr=0.1), scheduler=None)
    floor = WithFloor(1)
    callback = pruning(cycles=1, sparsity=OneShot(0.5), granularity=granularity, measure=measure, allocation=floor)
    fit([callback], module, max_epochs=1)
    assert "net.7.weight" not in callback._run.pruner.masks.shapes
    assert callback.measured_sparsity == pytest.approx(0.5, abs=0.06)


def test_halving_the_operations_halves_them():
    module = toy()
    callback = pruning(granularity=Filters(), measure="flops", sparsity=OneShot(0.5), cycles=1, allocation=WithFloor(1))
    fit([callback], module, max_epochs=1)
    costs = {
        "net.0.weight": 16,
        "net.4.weight": 1,
        "net.7.weight": 1,
    }  # each weight of the convolution is used 16 times
    sizes = {name: module.get_parameter(name).numel() for name in costs}
    alive = {name: int(callback.masks[name].sum()) if name in callback.masks else sizes[name] for name in costs}
    total = sum(costs[name] * sizes[name] for name in costs)
    left = sum(costs[name] * alive[name] for name in costs)
    assert callback.measured_sparsity == pytest.approx(1 - left / total)
    assert abs(left - total / 2) <= 9 * 16 / 2, "half of the dearest filter"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"granularity": Filters}, r"granularity=Filters\) is no granularity: give an object"),
        ({"granularity": "filters"}, "is no granularity"),
        ({"measure": "params"}, "measure='params'\\) is unknown: give 'weights', 'flops', 'units'"),
        ({"granularity": Filters(), "masks_from": "runs/a"}, "masks_from=..., granularity=Filters"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        pruning(**options)
