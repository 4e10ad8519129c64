"""A run whose cycles train a smaller network comes to the weights of the masked run."""

import json

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from shrinking_runs import SizesSeen, distance, sizes, tensors, trained
from torch import nn, optim

from lightning_prune import (
    AdaptiveLinearRestart,
    EstimateBatchNorm,
    FineTune,
    OneShot,
    Reinitialize,
    ScratchTrain,
    SparsityPenalty,
    WeightRewind,
    Weights,
    isomorphic,
)
from lightning_prune.criteria import last_epoch_change, movement, snip, taylor

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")

EXACT = 1e-12
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "SGD maximize dampening": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1),
    "Adam": lambda p: optim.Adam(p, lr=1e-3, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=1e-3),
    "AdamW fused": lambda p: optim.AdamW(p, lr=1e-3, fused=True),
    "NAdam": lambda p: optim.NAdam(p, lr=1e-3),
    "RAdam": lambda p: optim.RAdam(p, lr=1e-3),
    "Adamax": lambda p: optim.Adamax(p, lr=1e-3),
    "Adadelta": lambda p: optim.Adadelta(p),
    "Adagrad": lambda p: optim.Adagrad(p, lr=1e-2, initial_accumulator_value=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=1e-3, momentum=0.9, centered=True),
    "ASGD": lambda p: optim.ASGD(p, lr=1e-2),
    "Rprop": lambda p: optim.Rprop(p, lr=1e-3),
}
BESIDE = {
    "fine-tune": lambda: [FineTune()],
    "rewind": lambda: [WeightRewind(to="1ep")],
    "rewind with moments": lambda: [WeightRewind(to="1ep", moments="rewind")],
    "rewind, estimated statistics": lambda: [WeightRewind(to="1ep"), EstimateBatchNorm()],
    "reinitialize": lambda: [Reinitialize(seed=2)],
    "scratch": lambda: [ScratchTrain()],
    "penalty": lambda: [SparsityPenalty(strength=1e-3, on="scales", cycles=True)],
    "average": lambda: [WeightAveraging()],
    "moving average": lambda: [EMAWeightAveraging(decay=0.9)],
    "adaptive": lambda: [AdaptiveLinearRestart()],
}


def compare(**options):
    masked, masks, _ = trained(False, **options)
    small, cycles, shrink = trained(True, **options)
    assert sizes(small) < sizes(masked)
    assert cycles.measured_sparsity == masks.measured_sparsity
    assert cycles.masks.keys() == masks.masks.keys()
    assert all(torch.equal(mask, masks.masks[name]) for name, mask in cycles.masks.items())
    assert distance(small, shrink, masked) < EXACT
    return small, shrink


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_elementwise_optimizer(name):
    compare(optimizer=OPTIMIZERS[name])


@pytest.mark.parametrize("name", BESIDE)
def test_beside_other_callbacks(name):
    length = {"retrain": None} if name in ("rewind", "rewind with moments", "reinitialize", "scratch") else {}
    compare(beside=BESIDE[name], pruning=length)


@pytest.mark.parametrize(
    "options", [{"gradient_clip_val": 0.1}, {"accumulate_grad_batches": 2}, {"pruning": {"optimizer_state": "keep"}},
                {"pruning": {"optimizer_state": "reset"}}, {"pruning": {"retrain": "4it"}}], ids=str
)  # fmt: skip
def test_with_clipping_accumulation_and_other_lengths(options):
    compare(**options)


@pytest.mark.parametrize(
    "pruning",
    [
        {"criterion": movement},
        {"criterion": last_epoch_change, "retrain": "2ep", "cycles": 2},  # it remembers weights of a small network
        {"criterion": snip},
        {"criterion": taylor},
        {"allocation": isomorphic, "measure": "flops"},
        {"during": "0ep:2ep", "cycles": 2},
    ],
    ids=["movement", "last epoch", "snip", "taylor", "flops", "during"],
)
def test_scores_and_budgets_are_those_of_the_whole_network(pruning):
    compare(pruning=pruning, max_epochs=3)


def test_each_cycle_trains_a_smaller_network():
    seen = SizesSeen()
    trained(True, beside=lambda: [seen])
    first, second, third, last = (seen.seen[6 * epoch + 6] for epoch in range(4))
    assert first > second > third > last
    assert seen.seen == [first] * 12 + [second] * 6 + [third] * 6 + [last] * 6


def test_parameters_stay_the_same_objects():
    small, _, _ = trained(True)
    optimizer = small.trainer.optimizers[0]
    assert {id(one) for one in small.parameters()} == {id(one) for one in optimizer.param_groups[0]["params"]}


def test_the_record_and_the_logs_count_in_the_whole_network(tmp_path):
    found = []
    for shrinks in (False, True):
        folder = tmp_path / str(shrinks)
        trained(shrinks, logger=CSVLogger(folder, name="", version="log"), log_every_n_steps=1)
        record = json.loads((folder / "log" / "pruning.json").read_text())
        for cycle in record["cycles"]:
            cycle.pop("seconds")
        rows = (folder / "log" / "metrics.csv").read_text().splitlines()
        names = rows[0].split(",")
        counted = [place for place, name in enumerate(names) if "pruning/" in name and "seconds" not in name]
        found.append((record, [[row.split(",")[place] for place in counted] for row in rows]))
    assert found[0] == found[1]


def test_pruning_after_the_last_epoch():
    compare(pruning={"cycles": 1, "retrain": "0ep", "sparsity": OneShot(0.4)})


def test_several_cycles_in_one_shot_begin_small():
    small, shrink = compare(pruning={"cycles": 1, "sparsity": OneShot(0.5), "measure": "flops"})
    assert shrink.shrunk.parameters == (3457, sizes(small))
    assert shrink.shrunk.error < EXACT


def linear(width, bias=True):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, width, bias), nn.ReLU(), nn.Linear(width, 3, bias))


def test_fresh_weights_have_the_fan_in_of_the_small_network():
    pruning = {"cycles": 1, "retrain": None, "sparsity": OneShot(0.8)}
    still = {"optimizer": lambda p: optim.SGD(p, lr=0.0), "network": lambda: linear(40)}
    small, _, _ = trained(True, beside=lambda: [ScratchTrain()], pruning=pruning, **still)
    fan = small.net[3].in_features
    assert fan < 12
    largest = float(small.net[3].weight.detach().abs().max())
    assert 1 / 40**0.5 < largest <= 1 / fan**0.5


def test_scratch_b_gets_its_epochs_from_its_operations():
    pruning = {"cycles": 1, "retrain": None, "sparsity": OneShot(0.5), "measure": "flops"}
    small, cycles, _ = trained(True, beside=lambda: [ScratchTrain(budget="equal-flops")], pruning=pruning)
    assert small.trainer.current_epoch == 2 + int(2 / (1 - cycles.measured_sparsity))


def test_weights_whose_units_are_not_dead_stay_masked():
    """Masks of single weights leave units of which a part is dead: these weights stay at zero, in a smaller network."""
    pruning = {"granularity": Weights(), "sparsity": OneShot(0.97), "cycles": 1}
    small, shrink = compare(network=lambda: linear(12, bias=False), pruning=pruning)
    zeros = sum(int((one == 0).sum()) for one in tensors(small).values())
    assert shrink.shrunk.record.kept
    assert zeros > 0
