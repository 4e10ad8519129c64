"""Tensors, gradients and the states of optimizers are cut alike, so that masking, training and removing commute."""

import copy
import inspect
import warnings

import pytest
import torch
from dead_units import convolutional, half_alive, residual
from torch import nn, optim

from lightning_prune import shrink, structures_of
from lightning_prune.masks.optimizer_state import _ELEMENTWISE
from lightning_prune.shrinking.slices import (
    counts_of,
    cut,
    cut_all,
    cut_module_,
    cut_optimizer_,
    cuts_of,
    mask_,
    stays_of,
    tensors_of,
)
from lightning_prune.structures.groups import Counted, Group, Slices

OPTIONS = {
    "SGD": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
    "Adam": {"amsgrad": True, "weight_decay": 1e-3},
    "AdamW": {"foreach": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {"lr_decay": 0.01},
    "ASGD": {"t0": 5, "weight_decay": 1e-3},
}
ELEMENTWISE = sorted((one for one in _ELEMENTWISE if one is not optim.SparseAdam), key=lambda one: one.__name__)


def masks_of(network, groups, alive):
    """A mask of zeros and ones for each parameter, for the training of the masked network."""
    ones = {name: torch.ones_like(one) for name, one in network.named_parameters()}
    mask_(ones, groups, alive)
    return ones


def train(network, optimizer, steps, seed, clip=None, accumulate=1, masks=None):
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.randn(64, 1, 8, 8, generator=generator).double(), torch.arange(64) % 10
    network.train()
    named = dict(network.named_parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(accumulate):
            batch = torch.randint(64, (16,), generator=generator)
            (nn.functional.cross_entropy(network(images[batch]), labels[batch]) / accumulate).backward()
        if masks is not None:
            for name, mask in masks.items():
                named[name].grad.mul_(mask)
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        if masks is not None:
            with torch.no_grad():
                for name, mask in masks.items():
                    named[name].mul_(mask)


def cut_along_(network, optimizer, example, alive):
    """Shrink a network, and the state of its optimizer with it."""
    shapes = {one: one.shape for one in network.parameters()}
    small = shrink(network, example=example, alive=alive)
    named = dict(network.named_parameters())
    cut_optimizer_(optimizer, {named[name]: by for name, by in small.cuts.items() if name in named}, shapes)


def largest_difference(one, other):
    pairs = [(a.detach(), b.detach()) for a, b in zip(one.parameters(), other.parameters(), strict=True)]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)) for a, b in pairs)


def commute(kind, make=convolutional, steps=8, **how):
    """Train dense, mask, then train and shrink in either order; return how far the two small networks are apart."""
    network, example = make()
    options = OPTIONS.get(kind.__name__, {})
    optimizer = kind(network.parameters(), **options)
    train(network, optimizer, 3, seed=1)
    found = structures_of(network, example)
    alive = half_alive(found)
    masks = masks_of(network, found.groups.values(), alive)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(masks[name])
            for moment in optimizer.state.get(parameter, {}).values():
                if isinstance(moment, torch.Tensor) and moment.shape == parameter.shape:
                    moment.mul_(masks[name])
    small, of_small = copy.deepcopy((network, optimizer))
    cut_along_(small, of_small, example, alive)
    train(network, optimizer, steps, seed=2, masks=masks, **how)
    shrink(network, example=example, alive=alive)
    train(small, of_small, steps, seed=2, **how)
    return largest_difference(small, network)


@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda kind: kind.__name__)
def test_masking_training_and_removing_is_removing_and_training(kind):
    assert commute(kind) <= 1e-12


@pytest.mark.parametrize("how", [{"clip": 0.5}, {"accumulate": 3}, {"clip": 0.1, "accumulate": 2}], ids=str)
@pytest.mark.parametrize("make", [residual, convolutional], ids=lambda make: make.__name__)
def test_also_with_clipped_gradients_and_accumulation(how, make):
    assert commute(optim.SGD, make, **how) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("how", [{}, {"clip": 0.5}, {"accumulate": 2}], ids=str)
def test_the_same_over_longer_runs_of_a_residual_network(kind, how):
    assert commute(kind, residual, steps=20, **how) <= 1e-12


def test_a_row_of_an_embedding_table_keeps_its_moments():
    torch.manual_seed(0)
    network = nn.Sequential(nn.EmbeddingBag(7, 6, sparse=True), nn.Linear(6, 2)).double()
    optimizer = optim.SparseAdam([network[0].weight])
    network(torch.randint(7, (5, 3))).sum().backward()
    optimizer.step()
    before, kept = optimizer.state[network[0].weight]["exp_avg"].clone(), {1: torch.tensor([0, 2, 5])}
    shapes = {network[0].weight: network[0].weight.shape}
    cut_module_(network, {"0.weight": kept, "1.weight": kept})
    cut_optimizer_(optimizer, {network[0].weight: kept}, shapes)
    assert torch.equal(optimizer.state[network[0].weight]["exp_avg"], before[:, [0, 2, 5]])


def every_optimizer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [one for _, one in inspect.getmembers(optim, inspect.isclass) if issubclass(one, optim.Optimizer)]
    return [one for one in found if one not in (optim.Optimizer, optim.SparseAdam)]


@pytest.mark.parametrize("kind", every_optimizer(), ids=lambda kind: kind.__name__)
def test_every_optimizer_of_torch_goes_on_with_the_same_parameters(kind):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 12, bias=False), nn.ReLU(), nn.Linear(12, 5, bias=False))
    inputs = torch.randn(16, 8)
    optimizer = kind(network.parameters(), lr=0.01)

    def closure():
        optimizer.zero_grad()
        loss = network(inputs).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    objects = list(network.parameters())
    cut_along_(network, optimizer, inputs, {"0": torch.tensor([1, 0, 1] * 4)})
    before = [one.detach().clone() for one in network.parameters()]
    optimizer.step(closure)
    assert all(one is other for one, other in zip(network.parameters(), objects, strict=True))
    assert all((one != other).any() for one, other in zip(network.parameters(), before, strict=True))


def test_a_state_of_another_form_is_forgotten():
    weight = nn.Parameter(torch.ones(4, 3))
    optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
    optimizer.state[weight] = {"step": 3, "rows": torch.ones(4, 1), "pairs": torch.ones(4, 4, 4)}
    cut_optimizer_(optimizer, {weight: {0: torch.tensor([0, 1])}}, {weight: weight.shape})
    assert weight not in optimizer.state
    optimizer.state[weight] = {"step": 3, "rows": torch.arange(4.0)[:, None]}
    cut_optimizer_(optimizer, {weight: {0: torch.tensor([1, 3])}}, {weight: weight.shape})
    assert optimizer.state[weight]["step"] == 3
    assert optimizer.state[weight]["rows"].tolist() == [[1.0], [3.0]]


def test_a_gradient_is_cut_with_its_parameter_and_the_cut_can_be_undone():
    layer = nn.Linear(3, 4)
    layer(torch.randn(2, 3)).sum().backward()
    weight, gradient, values = layer.weight, layer.weight.grad.clone(), layer.weight.detach().clone()
    undo = cut_module_(
        layer, {"weight": {0: torch.tensor([0, 2]), 1: torch.tensor([1])}, "bias": {0: torch.tensor([0, 2])}}
    )
    assert torch.equal(layer.weight.grad, gradient[[0, 2]][:, [1]])
    assert layer.weight is weight
    undo()
    assert torch.equal(layer.weight, values)
    assert torch.equal(layer.weight.grad, gradient)
    assert layer(torch.randn(2, 3)).shape == (2, 4)


def test_a_shared_weight_is_cut_once():
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    network[1].weight = network[0].weight
    kept = {0: torch.tensor([0, 3]), 1: torch.tensor([0, 3])}
    cut_module_(network, {"0.weight": kept, "1.weight": kept})
    assert network[0].weight is network[1].weight
    assert network[0].weight.shape == (2, 2)


def test_units_of_two_groups_in_one_dimension_are_cut_together():
    """As behind a concatenation: the columns of the consumer belong to one group or the other."""
    first = Group("a", 2, (Slices("c.weight", 1, torch.tensor([0, 1, -1, -1]), "consumer"),))
    last = Group("b", 2, (Slices("c.weight", 1, torch.tensor([-1, -1, 1, 0]), "consumer"),))
    alive = {"a": torch.tensor([0, 1]), "b": torch.tensor([0, 1])}
    assert cuts_of([first, last], alive)["c.weight"][1].tolist() == [1, 2]
    assert cuts_of([first], alive)["c.weight"][1].tolist() == [1, 2, 3]


def test_a_unit_of_several_indices_is_cut_whole():
    assert stays_of(torch.tensor([0, 0, 1, 1, -1]), torch.tensor([1, 0])).tolist() == [True, True, False, False, True]


def test_numbers_that_fall_with_units_are_counted():
    groups = [
        Group("a", 2, (), (Counted("c", "groups", torch.tensor([0, 1, -1])),)),
        Group("b", 1, (), (Counted("c", "groups", torch.tensor([-1, -1, 0])),)),
    ]
    assert counts_of(groups, {"a": torch.tensor([1, 0])}) == {"c": {"groups": 2}}
    assert counts_of(groups, {"a": torch.tensor([1, 1])}) == {}


def test_statistics_are_cut_and_not_masked():
    network, example = convolutional()
    found = structures_of(network, example)
    before = {name: one.clone() for name, one in network.named_buffers()}
    alive = half_alive(found)
    mask_(tensors_of(network), found.groups.values(), alive)
    assert all(torch.equal(one, before[name]) for name, one in network.named_buffers())
    shrink(network, example=example, alive=alive)
    for name, one in cut_all(before, cuts_of(found.groups.values(), alive)).items():
        assert torch.equal(one, dict(network.named_buffers())[name])


def test_the_memory_format_stays():
    weight = torch.randn(8, 6, 3, 3).to(memory_format=torch.channels_last)
    found = cut(weight, {0: torch.tensor([0, 1, 5]), 1: torch.tensor([2, 3])})
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, weight[[0, 1, 5]][:, [2, 3]])
    assert cut(torch.randn(8, 6, 3, 3), {0: torch.tensor([0, 1])}).is_contiguous()


def test_nan_in_a_dead_unit_becomes_zero():
    tensor = torch.tensor([[1.0, 2.0], [float("nan"), 1.0]])
    mask_({"w": tensor}, [Group("g", 2, (Slices("w", 0, torch.arange(2), "producer"),))], {"g": torch.tensor([1, 0])})
    assert tensor.tolist() == [[1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_only_a_dimension_of_size_1_is_no_dimension_to_cut(size):
    tensor = torch.arange(2.0 * size).view(2, size)
    last = torch.tensor([size - 1])
    assert torch.equal(cut(tensor, {1: last}), tensor[:, -1:])
    assert cut(tensor, {0: torch.tensor([1])}).tolist() == tensor[1:].tolist()
