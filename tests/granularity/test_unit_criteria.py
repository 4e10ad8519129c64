"""Criteria of whole units, against oracles and in fits; allocations of groups; penalties."""

import copy
import inspect

import pytest
import torch
from members import functions, named
from structured import Residual, structured
from torch import nn
from toys import fit, toy
from unit_pruners import a_network, pruner_of

from lightning_prune import (
    Filters,
    IterativePruning,
    OneShot,
    SparsityPenalty,
    Structures,
    Weights,
    Widths,
    globally,
    isomorphic,
    per_group,
)  # fmt: skip
from lightning_prune.callbacks.gathering import gate_gradients
from lightning_prune.criteria import (
    Evidence,
    OnBatches,
    batch_norm_scale,
    geometric_median,
    l1_norm,
    l2_norm,
    magnitude,
    needs_of,
    of_units,
    random,
    scores_units,
    taylor_gate,
    units,
)  # fmt: skip
from lightning_prune.criteria.evidence import KINDS
from lightning_prune.criteria.scores import Scores

CRITERIA = functions(units, "units", "evidence")
every = pytest.mark.parametrize("criterion", CRITERIA, ids=named)


def evidence(count):
    made = torch.Generator().manual_seed(1)
    found = {kind: torch.rand(count, 2, generator=made) for kind in KINDS}
    terms = torch.randn(30, count, generator=made)
    return Evidence(torch.Generator().manual_seed(0), {**found, "contribution_gram": terms.t() @ terms})


def test_the_criteria_of_units_are_found():
    assert {named(one) for one in CRITERIA} == {
        "l1_norm", "l2_norm", "geometric_median", "batch_norm_scale", "taylor_gate", "mean_activation",
        "activation_entropy", "feature_rank", "reconstruction_error", "reconstruction_error_forward", "lasso_channels",
    }  # fmt: skip


@every
def test_a_criterion_of_units_gives_one_score_a_row_and_names_its_paper(criterion):
    rows = torch.randn(5, 7, requires_grad=True)
    score = criterion(rows, evidence(5))
    assert score.shape == (5,)
    assert score.isfinite().all()
    assert not score.requires_grad
    assert scores_units(criterion)
    assert "Reference: " in inspect.getdoc(criterion)
    order = torch.randperm(5)
    found = {kind: tensor[order] for kind, tensor in evidence(5).found.items()}
    found["contribution_gram"] = found["contribution_gram"][:, order]
    assert torch.allclose(criterion(rows[order], Evidence(torch.Generator(), found)), score[order])


@every
def test_a_criterion_of_units_looks_at_what_it_declared(criterion):
    declared = {kind: evidence(4).found[kind] for kind in needs_of(criterion).kinds}
    assert criterion(torch.randn(4, 3), Evidence(torch.Generator(), declared)).shape == (4,)
    for kind in declared:
        with pytest.raises(ValueError, match=f"evidence.{kind}, which was not gathered"):
            criterion(torch.randn(4, 3), Evidence(torch.Generator()))


def test_norms_and_medians_are_those_of_the_definition():
    rows = torch.randn(6, 9)
    assert torch.allclose(l1_norm(rows, evidence(6)), rows.norm(p=1, dim=1))
    assert torch.allclose(l2_norm(rows, evidence(6)), rows.norm(dim=1))
    distances = torch.cdist(rows[None].double(), rows[None].double())[0].sum(1).float()
    assert torch.allclose(geometric_median(rows, evidence(6)), distances, rtol=1e-4)


def test_norms_of_filters_are_those_of_magnitude_reduced():
    assert all(
        torch.allclose(pruner_of(Filters(), criterion)._scores(1)[name], pruner_of(Filters(reduce=reduce))._scores(1)[name])
        for criterion, reduce in ((l1_norm, "l1"), (l2_norm, "l2"))
        for name in ("conv", "wide", "output")
    )  # fmt: skip


def test_a_group_of_several_weights_scores_the_mean_over_them():
    net = a_network()
    found = pruner_of(Structures(), l1_norm, weights=net)._scores(1)["stem.0"]
    parts = [net.stem[0].weight, net.body[0].second.weight]
    assert torch.allclose(found, sum(one.detach().flatten(1).abs().sum(1) for one in parts) / 2)


def test_the_scale_is_that_of_the_norms_behind_a_unit():
    net = a_network()
    pruner = pruner_of(Structures(exclude=["head*"]), batch_norm_scale, weights=net)
    scores = pruner._scores(1)
    assert torch.allclose(scores["body.0.first"], net.body[0].norm1.weight.detach().abs())
    both = torch.stack([net.stem[1].weight, net.body[0].norm2.weight]).detach().abs().mean(0)
    assert torch.allclose(scores["stem.0"], both)


def test_a_random_unit_is_drawn_once_and_not_averaged_over_its_weights():
    value = Structures()
    scores = pruner_of(value, random, weights=Residual(width=64))._scores(1)["body.1.first"]
    assert scores.max() - scores.min() > 0.9


class Gated(nn.Module):
    """The network with a factor 1 on every channel of a group."""

    def __init__(self, net, path, width):
        super().__init__()
        self.net, self.gate = net, nn.Parameter(torch.ones(width, dtype=torch.float64))
        layer = net.get_submodule(path)
        layer.register_forward_hook(lambda m, i, out: out * self.gate.view(1, -1, *[1] * (out.dim() - 2)))

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize(
    ("group", "path"),
    [("net.body.0.first", "body.0.norm1"), ("net.head.1", "head.1"), ("net.body.1.first", "body.1.norm1")],
)
def test_the_gate_gradient_is_the_derivative_by_a_factor_on_the_channel(group, path):
    seen = {}
    callback = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.3), granularity=Structures(), criterion=OnBatches(taylor_gate, 1),
        measure="units",
    )  # fmt: skip
    module = structured()

    def draw(trainer, count, seed, given=gate_gradients.draw):
        drawn = given(trainer, count, seed)
        seen["batch"], seen["net"] = drawn[0], copy.deepcopy(module.net).train()
        return drawn

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_gradients, "draw", draw)
        fit([callback], module, max_epochs=1, precision="64-true")
    x, y = seen["batch"]
    gated = Gated(seen["net"], path, callback._run.pruner.masks.shapes[group].numel())
    nn.functional.cross_entropy(gated(x.double()), y).backward()
    found = callback._run.pruner._of_units["squared_gate_gradient"][group][:, 0]
    assert torch.allclose(found.double(), gated.gate.grad.square(), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "criterion",
    [l1_norm, l2_norm, geometric_median, random, OnBatches(taylor_gate, 2)],
    ids=lambda one: getattr(one, "__name__", "taylor_gate"),
)
@pytest.mark.parametrize("granularity", [Structures(), Filters()], ids=["structures", "filters"])
def test_criteria_of_units_prune_a_fit(criterion, granularity):
    callback = IterativePruning(
        cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=granularity, criterion=criterion, allocation=per_group,
        measure="units",
    )  # fmt: skip
    if isinstance(criterion, OnBatches) and isinstance(granularity, Filters):
        with pytest.raises(ValueError, match=r"which filters and blocks do not know: give .*Structures\(\)"):
            fit([callback], structured(), max_epochs=1)
        return
    fit([callback], structured(), max_epochs=1)
    assert callback.measured_sparsity == pytest.approx(0.5, abs=0.02)


def test_what_a_criterion_of_units_cannot_score_is_refused():
    with pytest.raises(ValueError, match=r"scores whole units, and granularity=Weights\(\) has none"):
        IterativePruning(cycles=1, retrain="1ep", criterion=l1_norm, granularity=Weights())
    callback = IterativePruning(cycles=1, retrain="1ep", criterion=batch_norm_scale, granularity=Structures())
    with pytest.raises(ValueError, match=r"no norm is behind the units of 'net.head.1'. .*exclude=\['net.head.1'\]"):
        fit([callback], structured(), max_epochs=1)

    @of_units
    def wrong(units, evidence):
        return units.abs()

    with pytest.raises(ValueError, match="gave scores of shape .* a criterion of units returns one score for each row"):
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=wrong, granularity=Filters())], toy(), max_epochs=1)


def test_isomorphic_groups_compete_and_others_do_not():
    given = {"a": torch.tensor([9.0, 8.0, 7.0, 6.0]), "b": torch.tensor([5.0, 4.0, 3.0, 2.0]), "c": torch.rand(2, 2)}
    counts = isomorphic(Scores.of(given), 0.5)
    assert counts == {"a": 4, "b": 0, "c": 2}
    pruner = pruner_of(Structures(), magnitude, isomorphic)
    kinds = pruner._scores(1).kinds
    assert kinds["body.0.first"] == kinds["body.1.first"] != kinds["stem.0"]


def test_widths_are_what_is_left_whatever_the_schedule_says():
    widths = {"net.body.*.first": 0.5, "net.head.1": 7}
    callback = IterativePruning(
        cycles=2, retrain="1ep", sparsity=OneShot(0.3), granularity=Structures(), allocation=Widths(widths)
    )
    with pytest.warns(UserWarning, match="removes nothing in cycle 2"):
        fit([callback], structured(), max_epochs=1)
    assert callback._run.pruner.masks.living == {
        "net.stem.0": 6, "net.body.0.first": 3, "net.body.1.first": 6, "net.body.1.second": 12, "net.head.1": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({}, "needs fractions in"),
        ({"a": 0}, "needs fractions in"),
        ({"a": 1.5}, "needs fractions in"),
        ({"a": True}, "needs fractions in"),
        ({"nothing": 0.5}, "'nothing' matches none of a, b"),
        ({"a": 9}, "asks for 9 units of 'a', which has 4"),
    ],
)
def test_wrong_widths_are_refused(widths, message):
    with pytest.raises(ValueError, match=message):
        Widths(widths)(Scores.of({"a": torch.rand(4), "b": torch.rand(4)}), 0.5)


def test_the_widths_of_the_authors_are_rounded_down():
    counts = Widths({"a": 0.9, "b": 0.7})(Scores.of({"a": torch.rand(16), "b": torch.rand(10)}), 0.5)
    assert counts == {"a": 14, "b": 7}  # 14.4, and 7.000000000000001 or 6.999999999999999


def test_the_penalty_is_the_subgradient_in_the_dense_run_only():
    runs = {}
    for name, beside in (("without", []), ("with", [SparsityPenalty(0.02)])):
        module, norms = structured(), []
        module.on_train_epoch_end = lambda module=module, norms=norms: norms.append(
            sum(
                float(layer.weight.detach().abs().sum())
                for layer in module.modules()
                if isinstance(layer, nn.BatchNorm2d)
            )
        )
        callback = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.4), granularity=Structures())
        fit([callback, *beside], module, max_epochs=2)
        runs[name] = norms
    assert runs["with"][1] < runs["without"][1] - 0.1


@pytest.mark.parametrize("on", ["scales", "filters"])
def test_one_step_with_the_penalty_is_the_step_with_the_subgradient_in_the_loss(on):
    def penalty(module):
        net = module.net
        if on == "scales":
            return net[1].weight.abs().sum()
        return sum(net[i].weight.flatten(1).norm(dim=1).sum() for i in (0, 4, 7))

    class InTheLoss(type(toy())):
        def training_step(self, batch, index):
            return super().training_step(batch, index) + 0.1 * penalty(self)

    states = []
    for module, beside in ((toy(), [SparsityPenalty(0.1, on=on)]), (InTheLoss(), [])):
        module.load_state_dict(toy().state_dict())
        fit([IterativePruning(cycles=0), *beside], module, max_epochs=1, max_steps=3)
        states.append(module.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SparsityPenalty(0.0), r"strength=0.0\) must be above 0"),
        (lambda: SparsityPenalty(1e-4, on="weights"), "on='weights'\\) is unknown"),
    ],
)
def test_wrong_penalties_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_penalty_without_anything_to_push_is_refused():
    with pytest.raises(ValueError, match=r"on='scales'\) has nothing to push: Toy has no BatchNorm"):
        fit([IterativePruning(cycles=0), SparsityPenalty(1e-4)], toy(plain=True), max_epochs=1)


def test_global_ranking_is_unchanged_by_kinds():
    given = {"a": torch.rand(4), "b": torch.rand(4)}
    assert isomorphic(Scores.of(given), 0.5) == dict(globally(Scores.of(given), 0.5))
