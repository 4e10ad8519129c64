"""A small network is the same function as the masked one, and what would not be is refused by name."""

import copy

import pytest
import torch
from dead_units import Split, WithSplit, convolutional, fully_connected, half_alive, randomized, residual
from torch import nn

from lightning_prune import shrink, structures_of
from lightning_prune.shrinking.slices import mask_, tensors_of
from lightning_prune.structures.groups import FoundStructures, Group, Slices

NETWORKS = [residual, convolutional, fully_connected]
every_network = pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)


def masked_copy(network, found, alive):
    masked = copy.deepcopy(network)
    mask_(tensors_of(masked), found.groups.values(), alive)
    return masked


@every_network
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_small_network_is_the_masked_function(make, training):
    network, example = make()
    found = structures_of(network, example)
    alive = half_alive(found)
    masked = masked_copy(network, found, alive)
    small = shrink(network, example=example, alive=alive)
    assert not small.masked
    assert small.error <= 1e-12
    assert small.parameters[1] < small.parameters[0]
    before, after = masked.train(training)(example), network.train(training)(example)
    assert (before - after).abs().max() <= 1e-12 * before.abs().max()


@every_network
def test_gradients_of_what_lives_are_those_of_the_masked_network(make):
    network, example = make()
    found = structures_of(network, example)
    alive = half_alive(found)
    masked = masked_copy(network, found, alive)
    small = shrink(network, example=example, alive=alive)
    for one in (masked, network):
        one.train()(example).square().sum().backward()
    of_masked = dict(masked.named_parameters())
    for name, parameter in network.named_parameters():
        expected = of_masked[name].grad
        for dim, kept in small.record.kept.get(name, {}).items():
            expected = expected.index_select(dim, kept)
        assert torch.allclose(parameter.grad, expected, rtol=1e-10, atol=1e-11)


@every_network
def test_the_sizes_that_modules_tell_are_those_of_their_weights(make):
    network, example = make()
    shrink(network, example=example, alive=half_alive(structures_of(network, example)))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.shape[:2] == (layer.out_channels, layer.in_channels // layer.groups)
        if isinstance(layer, nn.Linear):
            assert layer.weight.shape == (layer.out_features, layer.in_features)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.shape == layer.running_var.shape == (layer.num_features,)


def test_nothing_changes_where_all_units_live():
    network, example = residual()
    before = copy.deepcopy(network).state_dict()
    objects = list(network.parameters())
    for alive in (
        None,
        {name: torch.ones(group.width) for name, group in structures_of(network, example).groups.items()},
    ):
        small = shrink(network, example=example, alive=alive)
        assert small.module is network
        assert small.error == 0.0
        assert "Nothing is removed" in str(small)
        assert "granularity=Structures()" in str(small)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert all(one is other for one, other in zip(network.parameters(), objects, strict=True))


def test_parameters_stay_the_same_objects_and_only_weights_change():
    network, example = residual()
    network.train()
    network[0].eval() if isinstance(network, nn.Sequential) else None
    objects, modes = dict(network.named_parameters()), [layer.training for layer in network.modules()]
    state = torch.get_rng_state()
    small = shrink(network, example=example, alive=half_alive(structures_of(network, example)))
    assert all(one is objects[name] for name, one in network.named_parameters())
    assert modes == [layer.training for layer in network.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert int(next(one for name, one in network.named_buffers() if name.endswith("num_batches_tracked"))) == 0
    assert str(small).startswith("ResNet: ")


def test_units_are_dead_if_all_of_their_weights_are_zero():
    network, example = residual()
    found = structures_of(network, example)
    alive = half_alive(found)
    mask_(tensors_of(network), found.groups.values(), alive)
    by_zeros, by_name = copy.deepcopy(network), network
    small = shrink(by_zeros, example=example)
    assert small.record.alive.keys() == alive.keys()
    assert all(torch.equal(small.record.alive[name], one) for name, one in alive.items())
    shrink(by_name, example=example, alive=alive)
    assert all(torch.equal(a, b) for a, b in zip(by_zeros.parameters(), by_name.parameters(), strict=True))


@pytest.mark.parametrize("spared", ["1.bias", "2.weight", "0.weight"])
def test_a_unit_with_any_number_left_is_alive(spared):
    network = randomized(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    kept = dict(network.named_parameters())[spared].detach().clone()
    with torch.no_grad():
        for tensor, dim in (("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0), ("2.weight", 1)):
            dict(network.named_parameters())[tensor].index_fill_(dim, torch.tensor([1]), 0)
        dict(network.named_parameters())[spared].copy_(kept)
    assert not shrink(network, example=torch.rand(5, 4)).record.alive


def test_where_all_units_are_zero_one_stays():
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in (network[0].weight, network[0].bias, network[2].weight):
            parameter.zero_()
    shrink(network, example=torch.rand(5, 4))
    assert network[0].out_features == 1


def test_shrinking_twice_is_shrinking_once():
    network, example = residual()
    found = structures_of(network, example)
    alive = half_alive(found)
    once = shrink(network, example=example, alive=alive)
    before = copy.deepcopy(network.state_dict())
    twice = shrink(network, example=example)
    assert twice.record is once.record
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def test_the_record_of_a_second_removal_is_told_from_the_whole_network():
    network, example = residual()
    whole, found = copy.deepcopy(network), structures_of(network, example)
    first = half_alive(found, 0.3, seed=1)
    shrink(network, example=example, alive=first)
    second = half_alive(structures_of(network, example), 0.5, seed=2)
    small = shrink(network, example=example, alive=second)
    assert small.record.shapes == {name: tuple(one.shape) for name, one in tensors_of(whole).items()}
    at_once = {name: one.clone() for name, one in first.items()}
    for name, one in at_once.items():
        one[one.bool()] = second[name]
        assert torch.equal(small.record.alive[name], one)
    direct = shrink(whole, example=example, alive=at_once)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), whole.parameters(), strict=True))
    for name, by in direct.record.kept.items():
        assert all(torch.equal(kept, small.record.kept[name][dim]) for dim, kept in by.items())
    assert direct.record.attributes == small.record.attributes


def test_permuted_units_give_a_permuted_small_network():
    network, example = fully_connected()
    found = structures_of(network, example)
    alive = half_alive(found)
    permuted, order = copy.deepcopy(network), {}
    tensors = tensors_of(permuted)
    for name, group in found.groups.items():
        order[name] = torch.randperm(group.width)
        for one in group.slices:
            tensors[one.tensor].data = tensors[one.tensor].data.index_select(one.dim, order[name][one.units])
    shrink(network, example=example, alive=alive)
    shrink(permuted, example=example, alive={name: one[order[name]] for name, one in alive.items()})
    assert (network(example) - permuted(example)).abs().max() <= 1e-12


def literal_network():
    """A block with a size in its forward, whose groups are known."""
    torch.manual_seed(0)
    network = randomized(WithSplit().double())
    groups = {
        name: Group(name, width, tuple(Slices(*one, torch.arange(width), role) for *one, role in slices))
        for name, width, slices in (
            ("before", 6, (("before.weight", 0, "producer"), ("before.bias", 0, "producer"), ("block.first.weight", 1, "consumer"))),
            ("block.first", 8, (("block.first.weight", 0, "producer"), ("block.first.bias", 0, "producer"), ("block.last.weight", 1, "consumer"))),
            ("block.last", 3, (("block.last.weight", 0, "producer"), ("block.last.bias", 0, "producer"), ("after.weight", 1, "consumer"))),
        )
    }  # fmt: skip
    return network, torch.randn(4, 5).double(), FoundStructures(groups, (), {})


def test_a_group_with_a_literal_size_stays_masked_and_is_named_with_the_line_of_code():
    network, example, found = literal_network()
    alive = half_alive(found)
    masked = masked_copy(network, found, alive)
    small = shrink(network, example=example, alive=alive, structures=found)
    assert list(small.masked) == ["block.first"]
    assert (
        "RuntimeError in Split.forward at `return self.last(hidden.view(len(x), self.half))`"
        in small.masked["block.first"]
    )
    assert "Masked, not removed: block.first: RuntimeError in Split.forward" in str(small)
    assert network.block.first.weight.shape == (8, 3)
    assert network.block.last.weight.shape == (2, 8)
    assert (network.block.first.weight == 0).all(1).tolist() == (alive["block.first"] == 0).tolist()
    assert (network(example) - masked(example)).abs().max() <= 1e-12


def test_a_function_of_the_user_says_the_size():
    network, example, found = literal_network()

    def resize(block):
        block.half = block.first.out_features

    small = shrink(network, example=example, alive=half_alive(found), structures=found, resizes={Split: resize})
    assert not small.masked
    assert network.block.half == 4
    assert small.record.attributes["block"] == {"half": 4}


def test_a_function_of_the_user_that_fails_is_named():
    network, example, found = literal_network()

    def resize(block):
        raise KeyError("width")

    small = shrink(network, example=example, alive=half_alive(found), structures=found, resizes={Split: resize})
    assert all(reason == "KeyError: 'width'" for reason in small.masked.values())
    assert network.block.first.weight.shape == (8, 6)


def test_a_group_that_is_no_group_is_found_by_what_the_network_computes():
    network, example, found = literal_network()
    wrong = Group("before", 6, found.groups["before"].slices[:2])  # its consumer is forgotten
    reversed_ = Slices("block.first.weight", 1, torch.arange(6).flip(0), "within")
    wrong = Group("before", 6, (*wrong.slices, reversed_))
    found = FoundStructures({**found.groups, "before": wrong}, (), {})
    small = shrink(network, example=example, alive={"before": torch.tensor([0, 1, 1, 1, 1, 1])}, structures=found)
    assert "the outputs differ by" in small.masked["before"]


def test_a_layer_that_draws_is_compared_in_eval_mode_alone():
    class Dropping(nn.Sequential):
        def forward(self, x):
            return self[1](nn.functional.dropout(self[0](x), 0.5, self.training))

    torch.manual_seed(0)
    network = Dropping(nn.Linear(4, 8), nn.Linear(8, 2)).double()
    small = shrink(network, example=torch.rand(5, 4).double(), alive={"0": torch.tensor([1, 0] * 4)})
    assert not small.masked
    assert network[0].out_features == 4


def test_a_group_is_masked_that_only_the_train_mode_needs():
    class Helped(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.helper = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 2)

        def forward(self, x):
            hidden = self.first(x).relu()
            return self.last(hidden) + (self.helper(hidden) if self.training else 0)

    network = Helped().double()
    example = torch.rand(3, 4).double()
    small = shrink(network, example=example, alive={"first": torch.tensor([1, 0, 1, 1, 1, 1])})
    assert small.masked["first"].startswith(
        "in train mode, RuntimeError in Helped.forward at `return self.last(hidden)"
    )
    network.train()(example)


@pytest.mark.parametrize(
    ("alive", "said"),
    [
        ({"fcs": torch.ones(3)}, "alive names the group 'fcs', which this network does not have. Did you mean `fc`[?] Its groups are: fc."),
        ({"fc": torch.ones(4)}, r"alive\['fc'\] has the shape \(4,\), and the group has 3 units. Give a vector of 3 numbers."),
        ({"fc": torch.zeros(3)}, r"alive\['fc'\] keeps none of the 3 units, and nothing would pass through. Keep one."),
    ],
)  # fmt: skip
def test_what_fits_no_group_is_refused(alive, said):
    network = nn.Sequential()
    network.fc, network.out = nn.Linear(4, 3), nn.Linear(3, 2)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=said):
        shrink(network, example=torch.rand(5, 4), alive=alive)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def test_groups_of_another_network_are_refused():
    found = structures_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.rand(5, 4))
    other = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(
        ValueError, match=r"structures are of another network: 0.weight has the shape \(5, 4\) and not \(3, 4\)"
    ):
        shrink(other, example=torch.rand(5, 4), structures=found)


def test_an_example_that_does_not_fit_is_refused_before_anything_is_masked():
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    found = structures_of(network, torch.rand(5, 4))
    with pytest.raises(
        ValueError, match="cannot run Sequential on the example. Give the inputs of its forward, or a batch"
    ):
        shrink(network, example=torch.rand(5, 7), alive={"0": torch.tensor([1, 0, 1])}, structures=found)
    assert network[0].weight[1].any()
    with pytest.raises(ValueError, match="needs an example to run Sequential on: give example="):
        shrink(network, structures=found)
