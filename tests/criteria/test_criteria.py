"""Criteria, as mathematics: the formulas of the papers against rewrites by hand, and what is no criterion."""

import math
from itertools import pairwise

import pytest
import torch
from members import CRITERIA
from torch import Tensor, nn

from lightning_prune import allocation, criteria
from lightning_prune.callbacks.gathering.synaptic_flow import flow_of
from lightning_prune.criteria import Evidence, OnBatches, SynFlow, needs, needs_of
from lightning_prune.criteria.evidence import MEASURED
from lightning_prune.criteria.flow import kept_after, order_of_death
from lightning_prune.criteria.scores import Scores

# The formulas, by autograd, on a network of two layers in double precision.


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    return net, torch.randn(20, 5).double(), torch.randint(3, (20,))


def loss_of(net, x, y):
    return nn.functional.cross_entropy(net(x), y)


def gradients(net, x, y):
    return torch.autograd.grad(loss_of(net, x, y), [net[0].weight, net[2].weight])


def scored(criterion, weight: Tensor, **found: Tensor) -> Tensor:
    return criterion(weight, Evidence(torch.Generator(), found))


def test_snip_is_the_derivative_by_a_gate_on_every_connection(network):
    net, x, y = network
    gates = [torch.ones_like(net[i].weight).requires_grad_() for i in (0, 2)]
    hidden = nn.functional.linear(x, gates[0] * net[0].weight, net[0].bias).relu()
    loss = nn.functional.cross_entropy(nn.functional.linear(hidden, gates[1] * net[2].weight, net[2].bias), y)
    by_gates = torch.autograd.grad(loss, gates)
    for by_gate, weight, gradient in zip(by_gates, (net[0].weight, net[2].weight), gradients(net, x, y), strict=True):
        assert torch.allclose(scored(criteria.snip, weight, gradient=gradient), by_gate.abs(), rtol=1e-6)
        assert torch.allclose(scored(criteria.gradient_magnitude, weight, gradient=gradient), by_gate.abs(), rtol=1e-6)


def test_gradient_flow_falls_to_first_order_by_what_grasp_scores(network):
    """Removing a weight of high score weakens |g|^2 most: its change is -2 w (H g), to first order."""
    net, x, y = network

    def flow():
        return sum(g.square().sum() for g in gradients(net, x, y))

    first = torch.autograd.grad(loss_of(net, x, y), [net[0].weight, net[2].weight], create_graph=True)
    product = torch.autograd.grad(sum((g * g.detach()).sum() for g in first), [net[0].weight, net[2].weight])
    score = scored(criteria.grasp, net[0].weight, hessian_gradient=product[0])
    before, step = float(flow()), 1e-6
    for i, j in [(0, 0), (3, 2), (6, 4)]:
        with torch.no_grad():
            net[0].weight[i, j] *= 1 - step
        assert (float(flow()) - before) / step == pytest.approx(-2 * float(score[i, j]), rel=1e-3, abs=1e-8)
        with torch.no_grad():
            net[0].weight[i, j] /= 1 - step
    assert (score > 0).any()
    assert (score < 0).any()


@pytest.mark.parametrize("name", ["gradient_magnitude", "snip", "taylor"])
def test_units_of_a_relu_network_score_the_same_at_any_scale(network, name):
    """Scaling what goes into a unit and unscaling what comes out changes neither the network nor these scores' terms."""
    net, x, y = network
    criterion = getattr(criteria, name)

    def scores():
        weights = [net[0].weight, net[2].weight]
        found = gradients(net, x, y)
        return [
            scored(criterion, w, gradient=g, squared_gradient=g.square()) for w, g in zip(weights, found, strict=True)
        ]

    before = scores()
    with torch.no_grad():
        net[0].weight[2] *= 10
        net[0].bias[2] *= 10
        net[2].weight[:, 2] /= 10
    assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(before, scores(), strict=True))


def test_movement_is_the_sum_of_the_paper_for_small_steps_of_gradient_descent(network):
    net, x, y = network
    weight, lr, total = net[0].weight, 1e-4, torch.zeros_like(net[0].weight)
    start = weight.detach().clone()
    for _ in range(300):
        found = torch.autograd.grad(loss_of(net, x, y), list(net.parameters()))
        total -= lr * found[0] * weight.detach()
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), found, strict=True):
                parameter -= lr * gradient
    score = scored(criteria.movement, weight, phase_start=start)
    assert torch.allclose(score, total, atol=float(total.abs().max()) * 1e-3)
    assert torch.corrcoef(torch.stack([score.flatten(), total.flatten()]))[0, 1] > 0.9999


# SynFlow.


def chain(*widths):
    torch.manual_seed(1)
    return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(widths)))


def weights_of(net):
    return {f"{i}": one.weight for i, one in enumerate(net) if hasattr(one, "weight")}


def all_alive(net):
    return {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights_of(net).items()}


def flow(net, living=None):
    score = flow_of(net, weights_of(net), torch.ones(1, net[0].in_features))
    return score(living or all_alive(net))


def test_the_flow_of_a_linear_chain_is_the_closed_form():
    net = chain(4, 6, 5, 3)
    one, two, three = (w.detach().double().abs() for w in weights_of(net).values())
    found = flow(net)
    into = one.sum(1)  # what arrives at each unit, and what it passes on
    assert torch.allclose(found["0"], one * (three.sum(0) @ two)[:, None], rtol=1e-6)
    assert torch.allclose(found["1"], two * three.sum(0)[:, None] * into[None], rtol=1e-6)
    assert torch.allclose(found["2"], three * (two @ into)[None], rtol=1e-6)


def test_flow_is_conserved_by_layer_and_by_unit_and_blind_to_scale_and_sign():
    net = chain(4, 6, 5, 3)
    before = flow(net)
    sums = [float(score.sum()) for score in before.values()]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-6), "conservation by layer"
    assert torch.allclose(before["0"].sum(1), before["1"].sum(0), rtol=1e-6), "by unit"
    with torch.no_grad():
        net[0].weight[2] *= -10
        net[1].weight[:, 2] /= 10
    assert all(torch.allclose(score, before[name], rtol=1e-5) for name, score in flow(net).items())


def test_deep_flow_does_not_overflow():
    net = chain(*[64] * 60)
    with torch.no_grad():
        for one in net:
            one.weight *= 10
    assert not math.isinf(float(flow(net)["0"].sum()))
    with torch.no_grad():
        for one in net:
            one.weight.abs_()
        assert not net(torch.ones(1, 64)).isfinite().all(), "float32 would"


def by_a_loop(net, budget, rounds):
    """SynFlow as its paper writes it: threshold all scores together, round by round."""
    living, size = all_alive(net), sum(w.numel() for w in weights_of(net).values())
    for k in range(1, rounds + 1):
        keep = round(size * (budget / size) ** (k / rounds))
        scores = {name: s.masked_fill(~living[name], -1) for name, s in flow(net, living).items()}
        cut = torch.cat([s.flatten() for s in scores.values()]).sort(descending=True).values[keep - 1]
        living = {name: s >= cut for name, s in scores.items()}
    return living


@pytest.mark.parametrize("rounds", [1, 3, 100])
def test_rounds_keep_what_a_loop_keeps(rounds):
    net, budget = chain(4, 6, 5, 3), 12
    score = flow_of(net, weights_of(net), torch.ones(1, 4))
    places = order_of_death(score, all_alive(net), budget, rounds)
    size = sum(p.numel() for p in places.values())
    assert torch.cat([p.flatten() for p in places.values()]).sort().values.tolist() == list(range(size))
    kept = by_a_loop(net, budget, rounds)
    assert {n: (p >= size - budget).tolist() for n, p in places.items()} == {n: k.tolist() for n, k in kept.items()}
    scores = Scores.of(
        {name: criteria.synflow(p, Evidence(torch.Generator(), {"survival": p})) for name, p in places.items()}
    )
    assert dict(allocation.globally(scores, budget / size)) == {name: int(k.sum()) for name, k in kept.items()}


def test_many_rounds_do_not_empty_a_layer_that_one_round_empties():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 400, bias=False), nn.Linear(400, 400, bias=False), nn.Linear(400, 4, bias=False))
    score = flow_of(net, weights_of(net), torch.ones(1, 4))
    size, budget = 4 * 400 * 2 + 400**2, 60

    def left(rounds):
        places = order_of_death(score, all_alive(net), budget, rounds)
        return [int((p >= size - budget).sum()) for p in places.values()]

    assert 0 in left(1)
    assert 0 not in left(100)


def test_what_is_dead_stays_last_and_takes_no_place():
    net = chain(4, 6, 5, 3)
    living = all_alive(net)
    living["1"][:3] = False
    score = flow_of(net, weights_of(net), torch.ones(1, 4))
    places = order_of_death(score, living, 12, 5)
    assert (places["1"][:3] == -1).all()
    alive = sum(int(mask.sum()) for mask in living.values())
    found = torch.cat([p[living[name]] for name, p in places.items()]).sort().values
    assert found.tolist() == list(range(alive))


def test_equal_scores_die_from_the_last_on():
    def equal(living):
        return {"a": torch.ones(3), "b": torch.ones(2)}

    places = order_of_death(equal, {"a": torch.ones(3).bool(), "b": torch.ones(2).bool()}, 2, 2)
    assert {name: place.tolist() for name, place in places.items()} == {"a": [4, 3, 2], "b": [1, 0]}


def test_rounds_go_down_exponentially_to_the_budget():
    assert kept_after(10_000, 1, 4) == [1000, 100, 10, 1]
    assert kept_after(50, 50, 3) == [50, 50, 50]


# Bad input.

BAD = {
    "an unknown kind": (lambda: needs("hessian"), r"needs\('hessian'\) is unknown: give names among gradient"),
    "no batch": (lambda: needs("gradient", batches=0), r"needs\(batches=0\) must be a whole number, at least 1"),
    "an unknown mode": (lambda: needs("gradient", batch_norm="eval"), r"needs\(batch_norm='eval'\) must be 'training'"),
    "half a batch": (lambda: OnBatches(criteria.taylor, 0.5), r"OnBatches\(batches=0.5\) must be a whole number"),
    "no data": (lambda: OnBatches(criteria.magnitude, 3), r"OnBatches\(criterion=<function magnitude.*takes no gradients"),
    "a name": (lambda: OnBatches("taylor", 3), r"OnBatches\(criterion='taylor'\) takes no gradients"),
    "yes": (lambda: OnBatches(criteria.taylor, True), r"OnBatches\(batches=True\) must be a whole number"),
    "no round": (lambda: SynFlow(rounds=0), r"SynFlow\(rounds=0\) must be a whole number, at least 1"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_number_of_batches_changes_nothing_else():
    for criterion in CRITERIA:
        if set(MEASURED) & set(needs_of(criterion).kinds):
            other = needs_of(OnBatches(criterion, 77))
            assert other.batches == 77
            assert (other.kinds, other.batch_norm) == (needs_of(criterion).kinds, needs_of(criterion).batch_norm)
            assert " at 0x" not in repr(OnBatches(criterion, 77))


def test_within_a_round_the_lowest_dies_first():
    score = {"a": torch.tensor([3.0, 1.0, 4.0, 2.0, 5.0])}
    places = order_of_death(lambda living: score, {"a": torch.ones(5).bool()}, 1, 1)
    assert places["a"].tolist() == [2, 0, 3, 1, 4]
    assert places["a"].dtype == torch.float64, "float32 cannot tell places beyond 2^24 apart"
