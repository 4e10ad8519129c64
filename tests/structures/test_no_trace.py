"""Looking at a network changes nothing about it."""

import copy
import random

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils._pytree import tree_map

from lightning_prune import structures_of
from lightning_prune.lab import Classifier
from lightning_prune.lab.networks import ConvNet, ResNet


class Busy(LightningModule):
    """Writes wherever a module may write."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 2))
        self.register_buffer("calls", torch.zeros(3))
        self.seen, self.total, self.example = [], torch.zeros(2), None

    def training_step(self, batch, batch_idx):
        scores = self.network(batch[0]) + torch.rand(2)
        self.calls += 1
        self.calls[1:].mul_(2)
        self.total += scores.detach().sum(0)
        self.seen.append(random.random() + np.random.rand())  # noqa: NPY002
        self.example = batch
        batch[1].zero_()
        self.network[0].bias.mul_(1.5)
        self.log("loss", scores.mean())
        return nn.functional.mse_loss(scores, batch[1])


def snapshot(module):
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    attributes = {name: copy.copy(value) for name, value in vars(module).items() if not name.startswith("_")}
    modes = [one.training for one in module.modules()]
    hooks = [len(one._forward_hooks) + len(one._forward_pre_hooks) for one in module.modules()]
    return state, attributes, modes, hooks


def test_a_training_step_leaves_no_trace():
    module, batch = Busy().train(), (torch.rand(4, 4), torch.ones(4, 2))
    module.network[1].eval()
    module.network[0].register_forward_hook(lambda *_: None)
    before = snapshot(module)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    fast = torch.backends.mha.get_fastpath_enabled()
    found = structures_of(module, batch)
    assert found.groups["network.0"].width == 8
    after = snapshot(module)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1].keys() == after[1].keys()
    assert after[1]["seen"] == []
    assert after[1]["example"] is None
    assert torch.equal(after[1]["total"], torch.zeros(2))
    assert before[2:] == after[2:]
    assert torch.equal(batch[1], torch.ones(4, 2))
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])  # noqa: NPY002
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert all(parameter.grad is None for parameter in module.parameters())


def test_an_error_leaves_no_trace():
    module = Busy().train()
    before = snapshot(module)
    with pytest.raises(
        ValueError, match="Busy does not run on the example.* training_step: RuntimeError: mat1 and mat2"
    ):
        structures_of(module, (torch.rand(4, 5), torch.ones(4, 2)))
    after = snapshot(module)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[2:] == after[2:]


def test_frozen_networks_have_groups_too():
    network = ConvNet().requires_grad_(False)
    assert len(structures_of(network, torch.rand(1, 3, 16, 16)).groups) == 3


def test_the_training_step_and_the_forward_pass_show_the_same():
    module = Classifier(ResNet(8, channels=1))
    batch = torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    by_step = structures_of(module, batch)
    module.example_input_array = batch[0]
    by_forward = structures_of(module)
    assert by_step.groups.keys() == by_forward.groups.keys()
    assert by_step.costs.count() == by_forward.costs.count()


@pytest.mark.parametrize("example", [(0,), [0, 1], 0, {"images": 0}])
def test_a_module_with_a_training_step_takes_inputs_of_forward_too(example):
    module, parts = Classifier(ResNet(8, channels=1)), (torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64))
    by_step, by_forward = structures_of(module, parts), structures_of(module, tree_map(parts.__getitem__, example))
    assert by_forward.groups.keys() == by_step.groups.keys()
    assert by_forward.costs.count() == by_step.costs.count()


def test_a_module_without_a_training_step_takes_a_batch_too():
    network, images = ConvNet(), torch.rand(2, 3, 16, 16)
    assert str(structures_of(network, [images, torch.zeros(2)])) == str(structures_of(network, images))


def test_a_module_that_optimizes_by_hand_runs_its_forward():
    class ByHand(Classifier):
        def training_step(self, batch, index):
            raise AssertionError("it would step")

    module = ByHand(ResNet(8, channels=1))
    module.automatic_optimization = False
    batch = torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    assert "network.stem.0" in structures_of(module, batch).groups


def test_an_example_in_another_precision_is_taken():
    network = ConvNet().double()
    assert str(structures_of(network, torch.rand(1, 3, 16, 16))) == str(
        structures_of(ConvNet(), torch.rand(1, 3, 16, 16))
    )


def test_a_network_on_the_meta_device_computes_nothing():
    real = ResNet(20)
    with torch.device("meta"):
        network = ResNet(20)
    found = structures_of(network, torch.empty(1, 3, 32, 32, device="meta"))
    assert str(found) == str(structures_of(real, torch.rand(1, 3, 32, 32)))


def test_one_sample_is_enough_for_the_costs():
    network = ConvNet()
    one, many = (structures_of(network, torch.rand(samples, 3, 16, 16)) for samples in (1, 5))
    assert one.costs.count() == many.costs.count()


def test_a_network_that_needs_its_batch_gets_it():
    class NeedsTwo(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))

        def forward(self, x):
            assert len(x) > 1
            return self.layers(x)

    assert structures_of(NeedsTwo(), torch.rand(4, 3)).groups["layers.0"].width == 6


def test_inputs_by_name_and_by_place():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

        def forward(self, x, y):
            return self.b(self.a(x) * y)

    for example in ((torch.rand(1, 3), torch.rand(1, 1)), {"y": torch.rand(1, 1), "x": torch.rand(1, 3)}):
        assert structures_of(Two(), example).groups["a"].width == 6


def test_without_an_example_it_says_what_to_give():
    with pytest.raises(ValueError, match=r"structures_of\(ConvNet\) needs an example: give `example=` a batch"):
        structures_of(ConvNet())


def test_code_that_reads_values_gets_the_real_ones():
    """Products are left out, unless somebody reads what comes of them."""

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2)
            self.branch = None

        def forward(self, x):
            x = self.a(x).abs()
            self.branch = "b" if float(x.mean()) > 0 else "none"  # zeros would choose the other one
            return self.c(self.b(x.detach()).relu() if self.branch == "b" else x)

    found = structures_of(Reads(), torch.rand(64, 64))
    assert found.groups["b"].width == 64
    assert "a.weight" in {one.tensor for one in found.kept}


def test_activations_of_data_have_their_values():
    """What no weight has made may be read, so it is computed."""

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(256, 64), nn.Linear(64, 2)
            self.branch = None

        def forward(self, x):
            x = x.relu()
            self.branch = "b" if float(x.mean()) > 0 else "none"
            return self.b(self.a(x)) if self.branch == "b" else x

    assert structures_of(Reads(), torch.rand(1, 256, 256)).groups["a"].width == 64


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.SiLU(), nn.ReLU6(inplace=True), nn.GELU()])
def test_large_operations_are_left_out(monkeypatch, activation):
    from lightning_prune.structures import tracing

    def noted(operation, *others):
        found = stand_in(operation, *others)
        if found is not None:
            left_out.append(operation.overloadpacket._qualified_op_name.removeprefix("aten::"))
            results.append(found)
        return found

    left_out, results, stand_in = [], [], tracing.stand_in
    monkeypatch.setattr(tracing, "stand_in", noted)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), activation, nn.AvgPool2d(16), nn.Flatten(), nn.Linear(64, 2)
    )
    found = structures_of(network.to(memory_format=torch.channels_last), torch.rand(1, 3, 34, 34))
    assert [group.width for group in found.groups.values()] == [16]
    assert left_out[:2] == ["convolution", "native_batch_norm"]
    assert len(left_out) == 3
    assert results[1][0].shape == (1, 16, 32, 32)
    assert not results[1][0].any()
    assert results[0].stride() == results[1][0].stride()
