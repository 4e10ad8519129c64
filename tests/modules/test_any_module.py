"""Modules of every kind are pruned in cycles, keep what was promised, and resume where they were."""

import pytest
import torch
from lightning.pytorch import Callback
from promises import keeps_its_promises, run
from torch import nn
from toys import Rates
from zoo import (
    Adversaries,
    Attentive,
    Late,
    Recurrent,
    Regressor,
    lbfgs,
    perceptron,
    searching_lbfgs,
    sequences,
    vectors,
)

from lightning_prune import LRRewind, OneCycleRetrain, Prunable, WeightRewind

POLICIES = {
    "rates rewound": lambda: [LRRewind()],
    "one cycle": lambda: [OneCycleRetrain()],
    "weights rewound": lambda: [WeightRewind("1ep")],
}
PERCEPTRON = ["network.0.weight", "network.2.weight"]
GAN = [f"{part}.{layer}.weight" for part in ("generator", "discriminator") for layer in (0, 2)]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_two_networks_with_an_optimizer_each_are_pruned_together(policy, tmp_path):
    keeps_its_promises(Adversaries, vectors(), GAN, tmp_path, policy, resumes=True)


class EachRate(Callback):
    """Notes the rate of every optimizer, by its number, whenever it steps."""

    def __init__(self):
        self.steps = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.steps.append((trainer.optimizers.index(optimizer), optimizer.param_groups[0]["lr"]))


def test_each_of_two_optimizers_has_the_rates_of_its_own_dense_run_again():
    rates = EachRate()
    run(Adversaries, vectors(), [LRRewind(), rates], Prunable())
    generator, discriminator = ([lr for which, lr in rates.steps if which == one] for one in (0, 1))
    assert generator[:6] == pytest.approx([0.01] * 2 + [0.009] * 2 + [0.0081] * 2)  # it steps twice an epoch
    assert discriminator[:12] == pytest.approx([0.05] * 8 + [0.005] * 4)
    assert generator[6:10] == generator[10:] == generator[2:6]
    assert discriminator[12:20] == discriminator[20:] == discriminator[4:12]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("optimizer", [lbfgs, searching_lbfgs])
def test_an_optimizer_that_asks_for_the_loss_again_keeps_dead_weights_dead(optimizer, policy, tmp_path):
    def make():
        return Regressor(perceptron(), optimizer)

    keeps_its_promises(make, vectors(), PERCEPTRON, tmp_path, policy, resumes=True)


RECURRENT = {
    "LSTM": (nn.LSTM, {"num_layers": 2, "dropout": 0.1}, ["ih_l0", "hh_l0", "ih_l1", "hh_l1"]),
    "projected": (nn.LSTM, {"proj_size": 4}, ["ih_l0", "hh_l0", "hr_l0"]),
    "GRU": (nn.GRU, {"bidirectional": True}, ["ih_l0", "hh_l0", "ih_l0_reverse", "hh_l0_reverse"]),
    "RNN": (nn.RNN, {"bias": False}, ["ih_l0", "hh_l0"]),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "options", "parts"), RECURRENT.values(), ids=RECURRENT)
def test_every_weight_of_a_recurrent_network_is_pruned(kind, options, parts, tmp_path):
    def make():
        return Regressor(Recurrent(kind, **options))

    names = [*(f"network.cells.weight_{part}" for part in parts), "network.head.weight"]
    keeps_its_promises(make, sequences(), names, tmp_path, POLICIES["weights rewound"], resumes=True)


ATTENTIVE = {
    "one projection": ({"dropout": 0.1}, ["in_proj_weight"]),
    "three projections": (
        {"kdim": 6, "vdim": 6, "add_bias_kv": True},
        ["q_proj_weight", "k_proj_weight", "v_proj_weight"],
    ),
}


@pytest.mark.parametrize(("options", "parts"), ATTENTIVE.values(), ids=ATTENTIVE)
def test_every_projection_of_attention_is_pruned(options, parts, tmp_path):
    def make():
        return Regressor(Attentive(**options))

    names = [
        f"network.{name}" for name in (*(f"attention.{p}" for p in parts), "attention.out_proj.weight", "head.weight")
    ]
    keeps_its_promises(make, sequences(), names, tmp_path, POLICIES["one cycle"], resumes=True)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_layers_made_in_configure_model_are_pruned(policy, tmp_path):
    keeps_its_promises(Late, vectors(), PERCEPTRON, tmp_path, policy, resumes=True)


def test_frozen_layers_stay_dense_and_as_they_are(tmp_path):
    def make():
        module = Regressor(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), *perceptron()))
        module.network[0].requires_grad_(False)
        return module

    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = make().network[0].weight
    module = keeps_its_promises(make, vectors(), [f"network.{layer}.weight" for layer in (2, 4)], tmp_path)
    assert torch.equal(module.network[0].weight, before)
    assert module.network[0].weight.count_nonzero() == 64


class Halved(nn.Linear):
    """A frozen layer and a trained low-rank addition."""

    def __init__(self, inputs, outputs, rank=3):
        super().__init__(inputs, outputs)
        self.requires_grad_(False)
        self.adapter = nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False))

    def forward(self, x):
        return super().forward(x) + self.adapter(x)


def test_low_rank_adapters_are_pruned_beside_frozen_weights(tmp_path):
    def make():
        return Regressor(nn.Sequential(Halved(8, 12), nn.Tanh(), Halved(12, 4)))

    names = [f"network.{layer}.adapter.{part}.weight" for layer in (0, 2) for part in (0, 1)]
    module = keeps_its_promises(make, vectors(), names, tmp_path)
    assert module.network[0].weight.count_nonzero() == 96


class Grouped(Regressor):
    """Two optimizers' worth of parameter groups with rates of their own, on a schedule of steps."""

    def configure_optimizers(self):
        first, last = self.network[0], self.network[2]
        groups = [
            {"params": [first.weight], "lr": 0.02},
            {"params": [last.weight], "lr": 0.005, "weight_decay": 0.01},
            {"params": [first.bias, last.bias], "lr": 0.04, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups)
        return [optimizer], [
            {"scheduler": torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.1, 12), "interval": "step"}
        ]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_parameter_groups_keep_their_ratio(policy, tmp_path):
    rates = Rates()
    keeps_its_promises(lambda: Grouped(perceptron()), vectors(), PERCEPTRON, tmp_path, lambda: [*policy(), rates])
    dense, cycle, again = rates.steps[4:12], rates.steps[12:20], rates.steps[20:]  # four steps an epoch
    assert cycle == again
    assert cycle == dense or max(step[0][0] for step in cycle) == 0.02
    assert all(step[0][0] == pytest.approx(4 * step[1][0]) == pytest.approx(step[2][0] / 2) for step in cycle)
