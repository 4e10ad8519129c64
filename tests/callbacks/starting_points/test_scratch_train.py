"""The pruned network from scratch: as many epochs as the dense run, or as many operations."""

import pytest
import torch
from fresh_draws import Order
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from policies_in_runs import Watch
from resumed_runs import compare
from streamed_data import Streamed
from torch import nn
from toys import BATCH, STEPS, Images, Rates, equal, fit, make_trainer, one_cycle_lr, step_decay, toy
from zoo import Adversaries, vectors

from lightning_prune import FineTune, Geometric, IterativePruning, Levels, OneShot, Reinitialize, ScratchTrain
from lightning_prune.callbacks.starting_points.scratch_train import scratch_length
from lightning_prune.structures.flops import count_flops

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
# Multiplications and additions of one image, by hand: 4 channels of 4 x 4 of 9 products each, 64 x 10, 10 x 3.
PER_IMAGE = {"net.0.weight": 2 * 4 * 16 * 9, "net.4.weight": 2 * 640, "net.7.weight": 2 * 30}


class Masks(Callback):
    """Notes the density of every weight in every cycle."""

    def __init__(self):
        self.densities = []

    def on_cycle_start(self, trainer, pl_module, cycle):
        masks = next(c for c in trainer.callbacks if isinstance(c, IterativePruning)).masks
        self.densities.append({name: int(mask.sum()) / mask.numel() for name, mask in masks.items()})


def ratio(densities):
    return sum(PER_IMAGE.values()) / sum(count * densities[name] for name, count in PER_IMAGE.items())


def run(callback, sparsity, cycles=1, beside=(), **options):
    watch, masks, rates = Watch(), Masks(), Rates()
    pruning = IterativePruning(cycles=cycles, sparsity=sparsity)
    trainer = fit([pruning, callback, watch, masks, rates, *beside], options.pop("module", None) or toy(), **options)
    return trainer, watch, masks, rates


def test_the_lengths_of_the_paper():
    assert scratch_length(160, 1.0, 1.0) == 160
    assert scratch_length(160, 3.13e8, 2.06e8) == int(160 * 3.13 / 2.06) == 243
    assert scratch_length(90, 3.0, 1.0, cap=2) == 180
    assert scratch_length(90, 1.5, 1.0, cap=2) == 135
    assert scratch_length(160, 1.0, 0.8) == 200
    assert scratch_length(4, 1.0, 1.0 + 1e-12) == 4, "never shorter than the dense run"


def test_operations_are_those_of_the_layers_and_dead_weights_cost_nothing():
    module = toy()
    flops = count_flops(module, lambda: module(torch.zeros(BATCH, 1, 6, 6)))
    assert flops.total == BATCH * sum(PER_IMAGE.values())
    by_name = {f"{name}.weight": flops.by_layer[layer] for name, layer in module.named_modules() if name[-1:].isdigit()}
    assert {name: by_name[name] for name in PER_IMAGE} == {name: BATCH * count for name, count in PER_IMAGE.items()}
    densities = {module.net[0].weight: 0.5, module.net[4].weight: 0.25}
    assert flops.pruned(densities) == BATCH * (1152 / 2 + 1280 / 4 + 60)
    assert flops.pruned({}) == flops.total
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())


def test_a_layer_that_is_used_twice_costs_twice_and_what_belongs_to_no_layer_stays():
    layer = nn.Linear(4, 4)
    x = torch.ones(1, 4)
    flops = count_flops(layer, lambda: layer(layer(x)) @ torch.ones(4, 2))
    assert flops.total == 2 * 32 + 16
    assert flops.pruned({layer.weight: 0.5}) == 32 + 16
    outer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).train()
    inner = count_flops(outer, lambda: outer(torch.ones(1, 3, 8)))
    assert sum(inner.by_layer.values()) == inner.total
    assert inner.by_layer[outer.linear1] == 2 * 3 * 8 * 16


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_are_counted(kind, gates):
    layer = kind(8, 6)
    with torch.no_grad():
        flops = count_flops(layer, lambda: layer(torch.ones(5, 2, 8)))
    assert flops.total == 2 * gates * 6 * (8 + 6) * 5 * 2
    half = {layer.weight_ih_l0: 0.5, layer.weight_hh_l0: 0.5}
    assert flops.pruned(half) == flops.total / 2


@pytest.mark.parametrize("scheduler", [one_cycle_lr, step_decay])
def test_a_cycle_lasts_as_long_as_its_operations_allow(scheduler):
    trainer, watch, masks, rates = run(
        ScratchTrain("equal-flops"), Levels([0.3, 0.4, 0.5]), cycles=3, module=toy(scheduler=scheduler), max_epochs=5
    )
    lengths = [int(5 * ratio(densities)) for densities in masks.densities]
    assert lengths == sorted(lengths)
    assert 5 < lengths[0] < lengths[-1]
    assert [cycle.steps for cycle in watch.cycles] == [length * STEPS for length in lengths]
    assert [cycle.first_step for cycle in watch.cycles] == [(5 + sum(lengths[:k])) * STEPS for k in range(3)]
    assert [cycle.sparsity for cycle in watch.cycles] == [0.3, 0.4, 0.5]
    assert trainer.current_epoch == 5 + sum(lengths)
    assert trainer.max_epochs == 5, "the user's limit is put back"
    dense = rates.lr()[: 5 * STEPS]
    for cycle in watch.cycles:
        replayed = rates.lr()[cycle.first_step : cycle.first_step + cycle.steps]
        assert replayed == [dense[step * len(dense) // cycle.steps] for step in range(cycle.steps)]


def test_the_weights_are_fresh_and_the_masks_hold():
    _, watch, _, _ = run(ScratchTrain("equal-flops"), OneShot(0.5))
    same = run(Reinitialize(), OneShot(0.5))[1]
    assert equal(watch.at_start, same.at_start)
    assert watch.checked > 4 * STEPS


def test_equal_epochs_are_those_of_the_dense_run():
    trainer, watch, _, rates = run(ScratchTrain(), Geometric(0.5), cycles=2)
    assert [cycle.steps for cycle in watch.cycles] == [4 * STEPS] * 2
    assert rates.lr()[: 4 * STEPS] == rates.lr()[4 * STEPS : 8 * STEPS] == rates.lr()[8 * STEPS :]
    other = run(Reinitialize(), Geometric(0.5), cycles=2)[0]
    assert equal(trainer.lightning_module.state_dict(), other.lightning_module.state_dict())


def test_a_cap_ends_it_earlier():
    watch = run(ScratchTrain("equal-flops", cap=1.5), OneShot(0.9))[1]
    assert [cycle.steps for cycle in watch.cycles] == [6 * STEPS]


def test_a_dense_run_in_steps_has_cycles_in_steps():
    trainer, watch, masks, _ = run(
        ScratchTrain("equal-flops"), Geometric(0.4), cycles=2, max_steps=20, max_epochs=None, module=toy(scheduler=None)
    )
    lengths = [int(20 * ratio(densities)) for densities in masks.densities]
    assert [cycle.steps for cycle in watch.cycles] == lengths
    assert trainer.global_step == 20 + sum(lengths)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_dense_run_that_came_before_gives_the_length(accumulate):
    pruning = IterativePruning(cycles=1, sparsity=OneShot(0.5), dense_run="4ep")
    watch, masks = Watch(), Masks()
    callbacks = [pruning, ScratchTrain("equal-flops"), watch, masks]
    trainer = fit(callbacks, toy(), max_epochs=0, accumulate_grad_batches=accumulate)
    assert trainer.current_epoch == int(4 * ratio(masks.densities[0]))
    assert watch.cycles[0].steps == trainer.current_epoch * STEPS // accumulate


def test_counting_leaves_no_trace(tmp_path):
    """With a cap of 1 it counts, but changes no length: all else has to be as without."""
    found = []
    for callback in (ScratchTrain("equal-flops", cap=1), ScratchTrain()):
        order, module = Order(), toy(dropout=0.5)
        module.seen = []
        module.register_forward_hook(lambda layer, *_: layer.seen.append(1))
        data = Images(shuffle=True)
        logger = CSVLogger(tmp_path, name=str(len(found)), version="")
        trainer = run(
            callback, OneShot(0.5), beside=[order], module=module, data=data, logger=logger, log_every_n_steps=1
        )[0]
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if "seconds" not in name}
        found.append((dict(module.state_dict()), order.labels, metrics, len(module.seen)))
    assert equal(found[0], found[1])


def test_early_stopping_ends_a_long_cycle_where_the_next_begins():
    stop = EarlyStopping("train_loss", patience=1, min_delta=100.0, check_on_train_epoch_end=True, mode="min")
    _, watch, _, _ = run(ScratchTrain("equal-flops"), Geometric(0.5), cycles=2, beside=[stop])
    assert [cycle.first_step for cycle in watch.cycles] == [2 * STEPS, 4 * STEPS]


def resumable(folder, ckpt_path=None, by_steps=False):
    keep = ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    options = {"max_steps": 14, "max_epochs": None} if by_steps else {"max_epochs": 2}
    callbacks = [IterativePruning(cycles=2, sparsity=Geometric(0.5)), ScratchTrain("equal-flops"), keep]
    module = toy(scheduler=one_cycle_lr, groups=(1.0, 0.5))
    return fit(callbacks, module, Images(shuffle=True), ckpt_path, enable_checkpointing=True, **options)


@pytest.mark.parametrize("by_steps", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_stopped_at_any_epoch_end_it_ends_the_same(by_steps, tmp_path):
    last = resumable(tmp_path / "whole", by_steps=by_steps).current_epoch - 1
    assert last >= 8
    for epoch in range(last):
        resumable(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt", by_steps)
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, last + 1)) == last - epoch


class Cycles(Callback):
    """Notes the cycle of every batch."""

    def __init__(self):
        self.cycles = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.cycles.append(next(c for c in trainer.callbacks if isinstance(c, IterativePruning)).cycle)


def test_resumed_with_half_the_steps_an_epoch_a_long_cycle_keeps_its_epochs(tmp_path):
    whole = resumable(tmp_path / "whole")
    saved = torch.load(tmp_path / "whole" / "epoch=2.ckpt")["callbacks"]
    steps = next(state["position"]["cycle"]["steps"] for state in saved.values() if "position" in state)
    cycles, module = Cycles(), toy(scheduler=one_cycle_lr, groups=(1.0, 0.5))
    callbacks = [IterativePruning(cycles=2, sparsity=Geometric(0.5)), ScratchTrain("equal-flops"), cycles]
    data = Images(batch=2 * BATCH)
    again = fit(callbacks, module, data, tmp_path / "whole" / "epoch=2.ckpt", max_epochs=2)
    assert steps > 2 * STEPS
    assert cycles.cycles[0].steps == steps // 2
    assert again.current_epoch == whole.current_epoch


class Lengths(Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        torch.save([trainer.global_step, dict(pl_module.state_dict())], self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_agree_on_the_length(tmp_path):
    callbacks = [IterativePruning(cycles=1, sparsity=OneShot(0.5)), ScratchTrain("equal-flops"), Lengths(tmp_path)]
    fit(callbacks, toy(plain=True), Images(batch=4), devices=2, strategy="ddp_fork")
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert equal(one, other)
    assert one[0] > 8 * STEPS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScratchTrain(budget="equal"), r"ScratchTrain\(budget='equal'\) is unknown: give 'equal-epochs' or"),
        (lambda: ScratchTrain("equal-flops", cap=0.5), r"ScratchTrain\(cap=0.5\) is in lengths of the dense run"),
        (lambda: ScratchTrain(cap=2), r"ScratchTrain\(cap=2\) is for budget='equal-flops'"),
        (lambda: ScratchTrain(seed=-2), r"ScratchTrain\(seed=-2\) is no seed"),
        (lambda: scratch_length(160, 0, 0), r"counts 0 operations in a dense training step and 0 in a pruned one"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_does_not_fit_is_refused_before_training():
    with pytest.raises(
        ValueError, match=r"says how long a cycle lasts, and IterativePruning\(retrain='6ep'\) says oth"
    ):
        fit([IterativePruning(cycles=1, retrain="6ep"), ScratchTrain(), FineTune()])
    with pytest.raises(ValueError, match="the training data is a stream"):
        fit([IterativePruning(cycles=1), ScratchTrain("equal-flops")], data=Streamed())
    with pytest.raises(ValueError, match="Adversaries optimizes by hand"):
        make_trainer([IterativePruning(cycles=1), ScratchTrain("equal-flops")]).fit(Adversaries(), vectors())


def test_a_fast_dev_run_is_fast():
    trainer = fit([IterativePruning(cycles=2), ScratchTrain("equal-flops")], fast_dev_run=True)
    assert trainer.global_step == 3
