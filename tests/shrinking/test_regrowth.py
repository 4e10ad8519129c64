"""A small network becomes whole again, and small once more."""

import copy

import pytest
import torch
from dead_units import convolutional, half_alive, residual
from torch import nn, optim
from toys import equal

from lightning_prune import shrink, structures_of
from lightning_prune.shrinking.attributes import attributes_of
from lightning_prune.shrinking.regrowth import briefly_whole, grow_, grow_optimizer_, grown, make_small_, sizes_of
from lightning_prune.shrinking.shrink_record import held_by, shapes_of
from lightning_prune.shrinking.slices import cut, cut_optimizer_, tensors_of


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.head = nn.LSTM(5, 6, num_layers=2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.memory(x)[0][:, -1])


class Groups(nn.Module):
    """A grouped convolution loses whole groups: the number of groups is an attribute."""

    def __init__(self):
        super().__init__()
        self.first, self.grouped = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=4)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(self.grouped(self.first(x).relu())).relu().mean((2, 3)))


NETWORKS = {
    "convolutional": convolutional,
    "residual": residual,
    "recurrent": lambda: (Recurrent(), torch.randn(2, 4, 5)),
    "groups": lambda: (Groups(), torch.randn(2, 1, 8, 8)),
}


def masked_and_record(name):
    """A network with dead units, what it is like whole, and the record of their removal."""
    torch.manual_seed(0)
    network, example = NETWORKS[name]()
    network, example = network.double(), example.double()
    found = structures_of(network, example)
    small = shrink(copy.deepcopy(network), example=example, alive=half_alive(found), structures=found)
    whole = copy.deepcopy(network)
    shrink(whole, example=example, alive={}, structures=found)
    for name, by in small.record.kept.items():
        tensor = tensors_of(whole)[name]
        if isinstance(tensor, nn.Parameter):
            tensor.data = grown(cut(tensor.data, by), tuple(tensor.shape), by)
    return whole, small.record, example


@pytest.mark.parametrize("name", NETWORKS)
def test_growing_undoes_the_removal(name):
    network, record, example = masked_and_record(name)
    before = copy.deepcopy(network)
    objects = [id(one) for one in network.parameters()]
    make_small_(network, record, "test")
    assert held_by(network) is record
    small = copy.deepcopy(dict(network.state_dict()))
    outputs = network.eval()(example)
    grow_(network)
    assert sizes_of(network) is None
    assert held_by(network) is None
    assert shapes_of(network) == shapes_of(before)
    assert attributes_of(network) == attributes_of(before.eval())
    assert [id(one) for one in network.parameters()] == objects
    assert equal(dict(network.named_parameters()), dict(before.named_parameters()))
    assert torch.allclose(network(example), outputs, rtol=1e-12)
    make_small_(network, record, "test")
    assert equal(small, dict(network.state_dict()))


@pytest.mark.parametrize("name", NETWORKS)
def test_briefly_whole_leaves_no_trace(name):
    network, record, example = masked_and_record(name)
    make_small_(network, record, "test")
    network(example).sum().backward()
    before = {name: (one.data_ptr(), one.clone(), one.grad) for name, one in tensors_of(network).items()}
    attributes = attributes_of(network)
    with briefly_whole(network):
        assert shapes_of(network) == record.shapes
        for parameter in network.parameters():
            parameter.data.fill_(3)
    assert attributes_of(network) == attributes
    assert held_by(network) is record
    assert sizes_of(network) is not None
    for name, tensor in tensors_of(network).items():
        place, numbers, gradient = before[name]
        assert tensor.data_ptr() == place
        assert tensor.grad is gradient
        assert equal(tensor, numbers) or name not in record.kept
    network(example).sum().backward()


def test_a_whole_network_stays_as_it_is():
    network, _ = convolutional()
    before = copy.deepcopy(network.state_dict())
    grow_(network)
    with briefly_whole(network):
        pass
    assert equal(dict(before), dict(network.state_dict()))


def test_buffers_are_finite_where_units_are_dead():
    network, record, example = masked_and_record("residual")
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    make_small_(network, record, "test")
    grow_(network)
    assert network.eval()(example).isfinite().all()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.Adagrad, optim.ASGD, optim.Adafactor])
def test_states_of_optimizers_grow_and_shrink(kind):
    network, record, example = masked_and_record("convolutional")
    make_small_(network, record, "test")
    options = {"momentum": 0.9} if kind is optim.SGD else {}
    optimizer = kind(network.parameters(), lr=0.01, **options)
    for _ in range(2):
        optimizer.zero_grad()
        network(example).square().sum().backward()
        optimizer.step()
    before = copy.deepcopy(optimizer.state_dict()["state"])
    tensors = tensors_of(network)
    whole = {tensors[name]: (torch.Size(record.shapes[name]), by) for name, by in record.kept.items()}
    cuts = {tensors[name]: by for name, by in record.kept.items() if isinstance(tensors[name], nn.Parameter)}
    grow_optimizer_(optimizer, whole)
    grow_(network)
    for parameter, state in optimizer.state.items():
        for value in state.values():
            assert value.numel() == 1 or value.dim() == parameter.dim()
            assert all(size in (1, full) for size, full in zip(value.shape, parameter.shape, strict=False))
    shapes = {one: one.shape for one in cuts}
    make_small_(network, record, "test")
    cut_optimizer_(optimizer, cuts, shapes)
    assert equal(before, optimizer.state_dict()["state"])


def test_grown_keeps_the_memory_format():
    tensor = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    by = {0: torch.tensor([0, 2, 3, 5]), 1: torch.tensor([1, 2, 4])}
    whole = grown(tensor, (6, 5, 5, 5), by, fill=2.0)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(cut(whole, by), tensor)
    assert float(whole.sum()) == pytest.approx(float(tensor.sum()) + 2 * (6 * 5 - 4 * 3) * 25, abs=1e-3)
