"""Which slices go together, for one small network of each kind."""

import pytest
import torch
from removal import difference, living, mask, random_alive, randomize, run, shrink
from torch import Tensor, nn
from torch.nn import functional

from lightning_prune import structures_of
from lightning_prune.structures.flops import count_flops


class Net(nn.Module):
    """Modules by name, and a function that calls them."""

    def __init__(self, call, **modules):
        super().__init__()
        self.call = call
        for name, module in modules.items():
            if isinstance(module, nn.Parameter):
                self.register_parameter(name, module)
            else:
                self.add_module(name, module)

    def forward(self, *inputs):
        return self.call(self, *inputs)


def heads(x: Tensor, size: int) -> Tensor:
    return x.unflatten(-1, (-1, size)).transpose(1, 2)


def attend(net, x):
    q, k, v = (heads(f(x), 4) for f in (net.q, net.k, net.v))
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
    y = functional.scaled_dot_product_attention(q, k, v)
    return net.out(y.transpose(1, 2).flatten(2))


def attend_in_steps(net, x):
    q, k, v = (heads(f(x), 4) for f in (net.q, net.k, net.v))
    y = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v
    return net.out(y.transpose(1, 2).flatten(2))


def shuffle(x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


IMAGES = torch.randn(2, 3, 6, 6)
FEATURES = torch.randn(2, 5, 6)
# name: the network, its input, and for every group its width and the dimensions on which its units lie
PARTS = {
    "linear": (
        nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
        FEATURES,
        {"0": (8, "0.weight[0] 0.bias[0] 2.weight[1]")},
    ),
    "batch norm": (
        nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)),
        IMAGES,
        {"0": (8, "0.weight[0] 1.weight[0] 1.bias[0] 1.running_mean[0] 1.running_var[0] 2.weight[1]")},
    ),
    "instance norm": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.Conv2d(8, 4, 1)),
        IMAGES,
        {"0": (8, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "group norm: whole groups": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.Conv2d(8, 4, 1)),
        IMAGES,
        {"0": (4, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "flatten": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(128, 4)),
        IMAGES,
        {"0": (8, "0.weight[0] 0.bias[0] 2.weight[1]")},
    ),
    "residual sum": (
        Net(
            lambda net, x: net.last(net.stem(x) + net.block(net.stem(x))),
            stem=nn.Conv2d(3, 8, 1),
            block=nn.Sequential(nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 8, 1)),
            last=nn.Conv2d(8, 2, 1),
        ),
        IMAGES,
        {
            "stem": (
                8,
                "stem.weight[0] stem.bias[0] block.0.weight[1] block.2.weight[0] block.2.bias[0] last.weight[1]",
            ),
            "block.0": (6, "block.0.weight[0] block.0.bias[0] block.2.weight[1]"),
        },
    ),
    "concatenation": (
        Net(
            lambda net, x: net.c(torch.cat([net.a(x), net.b(x)], 1)),
            a=nn.Conv2d(3, 4, 1),
            b=nn.Conv2d(3, 6, 1),
            c=nn.Conv2d(10, 2, 1),
        ),
        IMAGES,
        {"a": (4, "a.weight[0] a.bias[0] c.weight[1]"), "b": (6, "b.weight[0] b.bias[0] c.weight[1]")},
    ),
    "depthwise": (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"0": (8, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "depthwise with a multiplier": (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"0": (4, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "grouped: whole groups": (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=4), nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"0": (4, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "grouped: the same channels of each group": (
        nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, 8, 3, groups=2), nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"0": (6, "0.weight[0] 0.bias[0] 1.weight[1]"), "1": (4, "1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "transposed": (
        nn.Sequential(nn.ConvTranspose2d(3, 8, 2), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2)),
        IMAGES,
        {"0": (8, "0.weight[1] 0.bias[0] 2.weight[0]")},
    ),
    "transposed depthwise": (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 8, 2, groups=8), nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"0": (8, "0.weight[0] 0.bias[0] 1.weight[0] 1.bias[0] 2.weight[1]")},
    ),
    "channel shuffle": (
        Net(lambda net, x: net.b(shuffle(net.a(x))), a=nn.Conv2d(3, 8, 1), b=nn.Conv2d(8, 2, 1)),
        IMAGES,
        {"a": (4, "a.weight[0] a.bias[0] b.weight[1]")},
    ),
    "squeeze and excitation": (
        Net(
            lambda net, x: net.c(net.a(x) * net.up(net.down(net.a(x).mean((2, 3), keepdim=True)).relu()).sigmoid()),
            a=nn.Conv2d(3, 8, 1),
            down=nn.Conv2d(8, 4, 1),
            up=nn.Conv2d(4, 8, 1),
            c=nn.Conv2d(8, 2, 1),
        ),
        IMAGES,
        {
            "a": (8, "a.weight[0] a.bias[0] down.weight[1] up.weight[0] up.bias[0] c.weight[1]"),
            "down": (4, "down.weight[0] down.bias[0] up.weight[1]"),
        },
    ),
    "split in halves": (
        nn.Sequential(nn.Linear(6, 8), nn.GLU(), nn.Linear(4, 2)),
        FEATURES,
        {"0": (4, "0.weight[0] 0.bias[0] 2.weight[1]")},
    ),
    "embedding": (
        nn.Sequential(nn.Embedding(9, 8), nn.Tanh(), nn.Linear(8, 3)),
        torch.randint(9, (2, 4)),
        {"0": (8, "0.weight[1] 2.weight[1]")},
    ),
    "attention heads": (
        Net(attend, **{name: nn.Linear(6, 12) for name in "qkv"}, out=nn.Linear(12, 6)),
        FEATURES,
        {"q": (3, "q.weight[0] q.bias[0] k.weight[0] k.bias[0] v.weight[0] v.bias[0] out.weight[1]")},
    ),
    "attention in single products": (
        Net(attend_in_steps, **{name: nn.Linear(6, 12) for name in "qkv"}, out=nn.Linear(12, 6)),
        FEATURES,
        {"q": (3, "q.weight[0] q.bias[0] k.weight[0] k.bias[0] v.weight[0] v.bias[0] out.weight[1]")},
    ),
    "a sequence of one step": (
        Net(lambda net, x: net.last(net.rnn(x)[0]), rnn=nn.LSTM(6, 5, batch_first=True), last=nn.Linear(5, 2)),
        torch.randn(2, 1, 6),
        {
            "rnn": (
                5,
                "rnn.weight_ih_l0[0] rnn.weight_hh_l0[0] rnn.weight_hh_l0[1] rnn.bias_ih_l0[0] rnn.bias_hh_l0[0] last.weight[1]",
            )
        },
    ),
    "grouped-query attention": (
        Net(attend, q=nn.Linear(6, 16), k=nn.Linear(6, 8, False), v=nn.Linear(6, 8, False), out=nn.Linear(16, 6)),
        FEATURES,
        {"q": (2, "q.weight[0] q.bias[0] k.weight[0] v.weight[0] out.weight[1]")},
    ),
    "layer norm over heads' channels": (
        Net(
            lambda net, x: net.out(net.norm(heads(net.a(x), 4)).transpose(1, 2).flatten(2)),
            a=nn.Linear(6, 12),
            norm=nn.LayerNorm(4),
            out=nn.Linear(12, 2),
        ),
        FEATURES,
        {"a": (3, "a.weight[0] a.bias[0] out.weight[1]")},
    ),
    "layer scale and positions": (
        Net(
            lambda net, x: net.b(net.a(x) * net.gamma + net.positions),
            a=nn.Linear(6, 8),
            gamma=nn.Parameter(torch.rand(8)),
            positions=nn.Parameter(torch.rand(1, 5, 8)),
            b=nn.Linear(8, 2),
        ),
        FEATURES,
        {"a": (8, "a.weight[0] a.bias[0] gamma[0] positions[2] b.weight[1]")},
    ),
    "pixel shuffle": (
        nn.Sequential(nn.Conv2d(3, 16, 1), nn.PixelShuffle(2), nn.Conv2d(4, 2, 1)),
        IMAGES,
        {"0": (4, "0.weight[0] 0.bias[0] 2.weight[1]")},
    ),
    "tied weights": (
        Net(
            lambda net, x: functional.linear(net.a(net.a(x).tanh()).tanh(), net.b.weight),
            a=nn.Linear(6, 6),
            b=nn.Linear(6, 4),
        ),
        FEATURES,
        {},
    ),
}
for mode in ("LSTM", "GRU", "RNN"):
    PARTS[f"hidden units of {mode}"] = (
        Net(
            lambda net, x: net.last(net.rnn(net.first(x))[0]),
            first=nn.Linear(6, 8),
            rnn=getattr(nn, mode)(8, 5, batch_first=True),
            last=nn.Linear(5, 2),
        ),
        FEATURES,
        {
            "first": (8, "first.weight[0] first.bias[0] rnn.weight_ih_l0[1]"),
            "rnn": (
                5,
                "rnn.weight_ih_l0[0] rnn.weight_hh_l0[0] rnn.weight_hh_l0[1] rnn.bias_ih_l0[0] rnn.bias_hh_l0[0] last.weight[1]",
            ),
        },
    )


@pytest.fixture(params=PARTS)
def part(request):
    network, inputs, groups = PARTS[request.param]
    torch.manual_seed(0)
    return randomize(network), inputs.double() if inputs.is_floating_point() else inputs, groups


def test_the_units_lie_where_they_should(part):
    network, inputs, groups = part
    found = structures_of(network, inputs).groups
    places = {name: {f"{one.tensor}[{one.dim}]" for one in group.slices} for name, group in found.items()}
    assert {name: (group.width, places[name]) for name, group in found.items()} == {
        name: (width, set(expected.split())) for name, (width, expected) in groups.items()
    }


def test_masking_and_removing_are_one_function(part):
    network, inputs, groups = part
    found = structures_of(network, inputs)
    alive = random_alive(found)
    masked, small = mask(network, found, alive), shrink(network, found, alive)
    assert difference(small, masked, inputs, training=False) <= 1e-12
    assert difference(small, masked, inputs, training=True) <= 1e-12
    assert not groups or difference(network, masked, inputs, training=False) > 1e-6


def test_the_costs_are_those_of_the_small_network(part):
    network, inputs, _ = part
    found = structures_of(network, inputs)
    for alive in ({}, random_alive(found)):
        small = shrink(network, found, alive).eval()
        counts = found.costs.count(alive)
        assert counts.parameters == sum(parameter.numel() for parameter in small.parameters())
        assert counts.flops == count_flops(small, lambda small=small: run(small, inputs[:1])).total


def test_every_dimension_is_in_a_group_or_kept_with_a_reason(part):
    network, inputs, _ = part
    found = structures_of(network, inputs)
    told = {(one.tensor, one.dim) for group in found.groups.values() for one in group.slices}
    told |= {(one.tensor, one.dim) for one in found.kept}
    assert all(one.reason for one in found.kept)
    for name, parameter in network.named_parameters():
        size = parameter.shape
        spatial = range(2, 4) if parameter.dim() == 4 else range(2) if "positions" in name else ()
        assert {(name, dim) for dim in range(len(size)) if size[dim] > 1 and dim not in spatial} <= told, name


def test_units_are_whole_and_of_all_tensors(part):
    network, inputs, _ = part
    found = structures_of(network, inputs)
    for group in found.groups.values():
        for one in group.slices:
            assert one.units.shape == (found.shapes[one.tensor][one.dim],)
            assert set(range(group.width)) <= set(one.units.tolist()) <= set(range(-1, group.width))


def test_everything_alive_changes_nothing(part):
    network, inputs, _ = part
    found = structures_of(network, inputs)
    alive = {name: torch.ones(group.width, dtype=torch.bool) for name, group in found.groups.items()}
    small = shrink(network, found, alive)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), small.state_dict().values(), strict=True)
    )
    assert all(bool(keep.all()) for keep in living(found, alive).values())


def test_a_smaller_network_has_the_same_groups(part):
    network, inputs, _ = part
    found = structures_of(network, inputs)
    alive = random_alive(found)
    again = structures_of(shrink(network, found, alive), inputs)
    left = {name: int(units.sum()) for name, units in alive.items()}
    for name, group in again.groups.items():
        assert left[name] in (
            group.width,
            1,
        )  # heads of queries that share the last head of keys are units of their own
    assert all(left[name] < 2 for name in left.keys() - again.groups.keys())


def test_a_filter_from_one_channel_to_one_is_named_as_kept():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 1, 1), nn.Conv2d(1, 1, 3, bias=False), nn.Conv2d(1, 4, 1))
    found = structures_of(network, torch.randn(1, 3, 6, 6))
    told = {one.tensor for group in found.groups.values() for one in group.slices} | {one.tensor for one in found.kept}
    assert {name for name, _ in network.named_parameters()} <= told
    assert [one.reason for one in found.kept if one.tensor == "2.weight"] == ["it is the only unit"]
