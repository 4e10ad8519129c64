"""What cannot be removed, and the reason that is told."""

import pytest
import torch
from test_parts import Net
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from lightning_prune import structures_of

FEATURES = torch.randn(2, 5, 6)


def between(function, width=8):
    """A function between two layers: the first layer's outputs are what it may mix."""
    return Net(lambda net, x: net.b(function(net.a(x))), a=nn.Linear(6, width), b=nn.Linear(width, 2))


# name: the network, the dimension that is kept, and the reason
REFUSED = {
    "the input": (between(torch.relu), "a.weight[1]", "aten.addmm in a reads data of a fixed size"),
    "the output": (between(torch.relu), "b.weight[0]", "the network returns it"),
    "softmax": (between(lambda x: x.softmax(-1)), "a.weight[0]", "aten._softmax mixes its channels"),
    "layer norm": (
        between(lambda x: nn.functional.layer_norm(x, (8,))),
        "a.weight[0]",
        "aten.native_layer_norm mixes its channels",
    ),
    "RMS norm": (
        Net(lambda net, x: net.b(net.norm(net.a(x))), a=nn.Linear(6, 8), norm=nn.RMSNorm(8), b=nn.Linear(8, 2)),
        "a.weight[0]",
        "in norm mixes its channels",
    ),
    "mean": (between(lambda x: x - x.mean(-1, keepdim=True)), "a.weight[0]", "aten.mean mixes its channels"),
    "norm": (
        between(lambda x: nn.functional.normalize(x, dim=-1)),
        "a.weight[0]",
        "aten.linalg_vector_norm mixes its channels",
    ),
    "cumsum": (between(lambda x: x.cumsum(-1)), "b.weight[1]", "aten.cumsum depends on the order of its channels"),
    "sort": (between(lambda x: x.sort(-1)[0]), "a.weight[0]", "aten.sort depends on the order of its channels"),
    "permutation": (
        between(lambda x: x[..., [3, 1, 0, 2, 4, 7, 6, 5]]),
        "a.weight[0]",
        "aten.index takes it by its place",
    ),
    "slice": (
        between(lambda x: torch.cat([x[..., 4:], x[..., :4]], -1)),
        "a.weight[0]",
        "aten.slice takes it by its place",
    ),
    "roll": (between(lambda x: x.roll(1, -1)), "a.weight[0]", "aten.roll takes it by its place"),
    "constant": (
        between(lambda x: x * torch.arange(8.0)),
        "a.weight[0]",
        "aten.mul combines it with data of a fixed size",
    ),
    "unknown": (between(lambda x: torch.special.zeta(x.abs() + 2, 1.0) @ torch.eye(8)), "a.weight[0]", "aten.mm"),
    "not in aten": (between(lambda x: torch.fft.fft(x).real), "a.weight[0]", "aten._fft_r2c is not understood"),
    "in-place": (
        between(lambda x: torch.zeros(2, 5, 8)[:1].copy_(x)),
        "a.weight[0]",
        "aten.copy_ combines it with data of a fixed size",
    ),
    "read by code": (between(lambda x: x * float(x.sum())), "a.weight[0]", "aten.sum mixes its channels"),
    "single": (
        nn.Sequential(nn.Linear(6, 1), nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 2)),
        "0.weight[1]",
        "aten.addmm in 0 reads data of a fixed size",
    ),
    "parametrized": (
        nn.Sequential(nn.Linear(6, 8), weight_norm(nn.Linear(8, 4)), nn.Linear(4, 2)),
        "0.weight[0]",
        "",
    ),
    "unused": (
        Net(lambda net, x: net.a(x), a=nn.Linear(6, 2), b=nn.Linear(3, 3)),
        "b.weight[0]",
        "the forward pass does not use it",
    ),
    "embedded words": (
        Net(lambda net, x: net.b(net.a(torch.arange(5))), a=nn.Embedding(9, 6), b=nn.Linear(6, 2)),
        "a.weight[0]",
        "aten.embedding in a chooses its rows by data",
    ),
    "unread": (
        Net(lambda net, x: (net.a(x), net.b(x))[0], a=nn.Linear(6, 2), b=nn.Linear(6, 3)),
        "b.weight[0]",
        "no weight reads it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_kept_and_the_reason_is_told(name):
    network, place, reason = REFUSED[name]
    found = structures_of(network, FEATURES)
    reasons = {f"{one.tensor}[{one.dim}]": one.reason for one in found.kept}
    assert place in reasons, str(found)
    assert reason in reasons[place]
    assert f"{place}" in str(found)
    assert not any(f"{one.tensor}[{one.dim}]" == place for group in found.groups.values() for one in group.slices)


def test_heads_of_multi_head_attention_can_only_be_masked():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
    found = structures_of(layer, torch.rand(2, 5, 16))
    widths = {name: (group.width, group.removable) for name, group in found.groups.items()}
    assert widths == {"self_attn": (4, False), "linear1": (24, True)}
    obstacle = "nn.MultiheadAttention refuses a width other than embed_dim (self_attn)"
    assert found.groups["self_attn"].obstacle == obstacle
    assert f"Can be masked, but not removed:\n  self_attn: {obstacle}" in str(found)


def test_keys_and_values_of_another_source():
    network = Net(
        lambda net, x: net.m(net.a(x), net.b(x), net.b(x), need_weights=False)[0],
        a=nn.Linear(6, 8), b=nn.Linear(6, 8), m=nn.MultiheadAttention(8, 2, batch_first=True),
    )  # fmt: skip
    found = structures_of(network, FEATURES)
    assert found.groups["m"].width == 2
    assert not any(group.removable for group in found.groups.values())


def test_a_split_at_fixed_sizes_can_only_be_masked():
    network = between(lambda x: torch.cat([part.tanh() for part in x.split([3, 5], -1)], -1))
    (group,) = structures_of(network, FEATURES).groups.values()
    assert group.width == 8
    assert group.obstacle == "aten.split_with_sizes has fixed sizes"


def test_only_sums_are_coupled():
    def coupled(function):
        network = Net(function, a=nn.Linear(6, 8), b=nn.Linear(6, 8), c=nn.Linear(8, 2))
        (group,) = structures_of(network, FEATURES).groups.values()
        assert group.producers == ("a.weight", "b.weight")
        return group.coupled

    assert coupled(lambda net, x: net.c(net.a(x) + net.b(x)))
    assert not coupled(lambda net, x: net.c(net.a(x) * net.b(x)))


def test_unknown_groups_and_other_widths_have_no_cost():
    costs = structures_of(between(torch.relu), FEATURES).costs
    with pytest.raises(ValueError, match=r"Costs.count: alive\['a'\] has 3 units, but there is 8 units"):
        costs.count({"a": torch.ones(3)})
    with pytest.raises(ValueError, match=r"alive\['z'\] has 3 units, but there is no group; groups are a"):
        costs.count({"z": torch.ones(3)})
