"""Structures in a fit: exact zeros, exact resume, tickets, other callbacks, and what is refused."""

import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, EMAWeightAveraging
from structured import Residual, Structured, structured
from torch import nn
from toys import Images, equal, fit

from lightning_prune import (
    EstimateBatchNorm,
    IterativePruning,
    Levels,
    Linear,
    OneShot,
    Prunable,
    Reinitialize,
    ScratchTrain,
    Structures,
    WeightRewind,
    WithFloor,
    load_ticket,
)  # fmt: skip
from lightning_prune.criteria import SynFlow, taylor


class Keep(Checkpoint):
    """Keeps a checkpoint of the end of an epoch."""

    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


def pruning(**options):
    defaults = {"cycles": 2, "retrain": "2ep", "sparsity": Levels([0.3, 0.5]), "granularity": Structures()}
    return IterativePruning(**{**defaults, **options})


BESIDE = {
    "alone": lambda: [],
    "rewound": lambda: [WeightRewind(to="1ep")],
    "moments": lambda: [WeightRewind(to="1ep", moments="rewind")],
    "fresh": lambda: [Reinitialize(seed=1)],
    "statistics": lambda: [EstimateBatchNorm(batches=2)],
    "average": lambda: [EMAWeightAveraging(decay=0.8)],
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("measure", ["weights", "flops", "units"])
def test_a_run_holds_its_structures_at_zero_and_resumes_exactly(beside, measure, tmp_path):
    def callbacks():
        return [pruning(measure=measure), *BESIDE[beside]()]

    whole = fit([*callbacks(), Keep(tmp_path / "middle.ckpt", epoch=2)], structured(), max_epochs=2)
    clock, module = whole.callbacks[0], whole.lightning_module
    assert clock.measured_sparsity == pytest.approx(0.5, abs=0.06)
    dead = 0
    for name, mask in clock.masks.items():
        weight = module.get_parameter(name).detach()
        assert not weight[~mask].any(), name
        dead += int((~mask).sum())
    assert dead
    assert {"net.head.3.weight", "net.depth.bias"} & clock.masks.keys(), "columns and biases have masks, too"
    again = fit(callbacks(), structured(), ckpt_path=tmp_path / "middle.ckpt", max_epochs=2)
    assert equal(dict(again.lightning_module.state_dict()), dict(module.state_dict()))
    assert equal(again.callbacks[0].masks, clock.masks)
    assert equal(again.callbacks[0].state_dict()["units"], clock.state_dict()["units"])


def test_finding_the_structures_changes_nothing_of_the_dense_run():
    plain, pruned = structured(), structured()
    fit([], plain, Images(shuffle=True), max_epochs=2)
    seen = {}

    def note():
        if pruned.trainer.current_epoch == 1:
            seen.update({name: one.clone() for name, one in pruned.state_dict().items()})

    pruned.on_train_epoch_end = note
    fit([pruning()], pruned, Images(shuffle=True), max_epochs=2)
    assert equal(seen, dict(plain.state_dict()))


def test_the_groups_are_those_of_the_example_or_of_a_batch():
    found = []
    for example in (False, True):
        callback = pruning(sparsity=OneShot(0.4), cycles=1)
        fit([callback], structured(example=example), max_epochs=1)
        found.append(callback.state_dict()["units"])
    assert equal(*found)


@pytest.mark.parametrize("criterion", [taylor, SynFlow(rounds=3)], ids=["taylor", "synflow"])
def test_criteria_that_look_at_the_network_score_structures(criterion):
    callback = pruning(criterion=criterion, cycles=1, sparsity=OneShot(0.5), allocation=WithFloor(1))
    fit([callback], structured(), max_epochs=1)
    assert callback.measured_sparsity == pytest.approx(0.5, abs=0.06)


def test_pruning_inside_the_dense_run():
    callback = pruning(cycles=3, retrain=None, during="1ep:4ep", sparsity=Linear(0.6, 3), measure="flops")
    fit([callback], structured(), max_epochs=5)
    assert callback.measured_sparsity == pytest.approx(0.6, abs=0.06)


def test_a_ticket_has_the_masks_of_all_tensors_and_starts_a_run(tmp_path):
    first = pruning(cycles=1, sparsity=OneShot(0.4))
    fit([first, WeightRewind(to="1ep")], structured(), max_epochs=2)
    first.save_ticket(tmp_path / "t.safetensors")
    ticket = load_ticket(tmp_path / "t.safetensors")
    assert equal(dict(ticket.masks), first.masks)
    second = pruning(cycles=1, sparsity=OneShot(0.7), initial_masks=tmp_path / "t.safetensors")
    fit([second], structured(), max_epochs=1)
    assert all(not (second.masks[name] & ~mask).any() for name, mask in first.masks.items())
    again = pruning(cycles=1, sparsity=OneShot(0.1), initial_masks=tmp_path / "t.safetensors")
    with pytest.raises(ValueError, match="asks for sparsity 0.1 in cycle 1"):
        fit([again], structured(), max_epochs=1)


def test_a_network_that_is_sparse_already_starts_with_its_dead_structures():
    first = pruning(cycles=1, sparsity=OneShot(0.4))
    module = structured()
    fit([first], module, max_epochs=1)
    second = pruning(cycles=1, sparsity=OneShot(0.6), initial_masks="zeros")
    fit([second], module, max_epochs=1)
    assert all(not (second.masks[name] & ~mask).any() for name, mask in first.masks.items())


def test_scratch_training_lasts_by_the_operations_that_are_left():
    callback = pruning(cycles=1, retrain=None, sparsity=OneShot(0.5), measure="flops")
    trainer = fit([callback, ScratchTrain(budget="equal-flops")], structured(), max_epochs=3)
    left = 1 - callback.measured_sparsity
    assert trainer.current_epoch == 3 + int(3 / left)


def test_the_record_names_all_tensors_that_have_masks(tmp_path):
    callback = pruning(cycles=1, sparsity=OneShot(0.4))
    fit([callback], structured(), max_epochs=1)
    record = callback._run.record
    assert record.covered.keys() == set(record.cycles[-1]["alive"])
    assert set(callback.masks) <= record.covered.keys()


def test_frozen_weights_that_read_dead_units_lose_their_columns():
    module = structured()
    module.net.head[3].weight.requires_grad_(False)
    before = module.net.head[3].weight.detach().clone()
    callback = pruning(
        cycles=1, sparsity=OneShot(0.5), granularity=Structures(exclude=["*stem*", "*body*"]), measure="units"
    )
    fit([callback], module, max_epochs=1)
    mask = callback.masks["net.head.3.weight"]
    assert torch.equal(module.net.head[3].weight.detach(), before * mask)
    assert int((~mask).sum()) > 0


def test_groups_that_are_excluded_or_not_prunable_or_coupled_stay_whole():
    for options, untouched in (
        ({"granularity": Structures(exclude=["net.head*"])}, "net.head.1.weight"),
        ({"granularity": Structures(coupled=False)}, "net.stem.0.weight"),
        ({"prunable": Prunable(exclude=["net.body.0.first*"])}, "net.body.0.first.weight"),
        ({"prunable": Prunable(exclude=["net.body.0.second*"])}, "net.stem.0.weight"),
    ):
        callback = pruning(cycles=1, sparsity=OneShot(0.4), measure="units", **options)
        fit([callback], structured(), max_epochs=1)
        rows = callback.masks.get(untouched)
        assert rows is None or bool(rows.flatten(1).any(1).all()), untouched


def test_a_group_with_a_weight_that_nobody_trains_stays_dense():
    module = structured(optimizer=lambda parameters: torch.optim.SGD(list(parameters)[3:], lr=0.05))
    callback = pruning(cycles=1, sparsity=OneShot(0.4), measure="units")
    fit([callback], module, max_epochs=1)
    assert "net.stem.0" not in callback._run.pruner.masks.shapes
    assert "net.body.0.first" in callback._run.pruner.masks.shapes


def test_groups_keep_their_minimum_and_a_multiple():
    callback = pruning(
        cycles=1, sparsity=OneShot(0.6), measure="units", granularity=Structures(round_to=4, minimum=3), allocation=WithFloor(1)
    )  # fmt: skip
    fit([callback], structured(network=Residual(width=8)), max_epochs=1)
    for name, living in callback._run.pruner.masks.living.items():
        width = callback._run.pruner.masks.shapes[name].numel()
        assert living == width or (living % 4 == 0 and living >= 4)


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(36, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.norm(self.first(x.flatten(1))))


class ByHand(Structured):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


@pytest.mark.parametrize(
    ("options", "module", "message"),
    [
        ({"granularity": Structures(exclude=["*.nothing"])}, structured, "matches no group. The groups are: net.stem.0"),
        ({"granularity": Structures(round_to=64)}, structured, r"round_to=64\) is larger than the group 'net.stem.0', which"),
        ({"sparsity": OneShot(0.99), "cycles": 1}, structured, "sparsity 0.99 cannot be reached: with the least number"),
        ({}, lambda: structured(network=Mixing()), r"nothing to prune: .*first.weight\[0\] \(.*LayerNorm|layer_norm"),
        ({}, ByHand, "optimizes by hand.*Or set example_input_array"),
        ({"prunable": Prunable(types=[nn.Linear], exclude=["net.head.1*"])}, structured, "net.head.1.weight is not prunable"),
    ],
)  # fmt: skip
def test_what_cannot_be_pruned_is_refused_before_the_first_batch(options, module, message):
    made = module()
    made.on_train_batch_end = lambda *_: pytest.fail("a batch was trained")
    with pytest.raises(ValueError, match=message):
        fit([pruning(**options)], made, max_epochs=1)


def test_other_groups_are_refused_where_a_run_resumes(tmp_path):
    fit([pruning()], structured(), max_epochs=2).save_checkpoint(tmp_path / "a.ckpt")
    other = structured()
    other.net.body[0].forward = lambda x: other.net.body[0].second(other.net.body[0].first(x)).relu()
    with pytest.raises(
        ValueError, match="cannot resume: the (units|slices) of this run are not those of the checkpoint"
    ):
        fit([pruning()], other, ckpt_path=tmp_path / "a.ckpt", max_epochs=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Structures(round_to=0), r"Structures\(round_to=0\)"),
        (lambda: Structures(minimum=0), r"Structures\(minimum=0\)"),
        (lambda: Structures(reduce="all"), "is unknown: give 'mean'"),
    ],
)
def test_wrong_options_are_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()
