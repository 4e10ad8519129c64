"""What holds for every granularity with every criterion and every allocation: the members are collected from the files."""

import inspect

import pytest
import torch
from members import ALLOCATIONS, CRITERIA, most_unspent, named
from unit_pruners import GRANULARITIES, VALUES, pruner_of

from lightning_prune import LayerFractions, globally, granularity
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.criteria import magnitude, random
from lightning_prune.granularity.quantities import in_multiples
from lightning_prune.granularity.reduce import CHOICES

PAIRS = [
    pytest.param(
        criterion,
        allocation,
        id=f"{named(criterion)}-{named(allocation)}",
        marks=[] if criterion in (magnitude, random) or allocation is globally else pytest.mark.slow,
    )
    for criterion in CRITERIA
    for allocation in ALLOCATIONS
]
LEVELS = [0.2, 0.2, 0.36, 0.7]


def test_the_granularities_are_found_and_public():
    assert {type(value).__name__ for value in VALUES} >= {"Weights", "Filters", "Blocks", "Structures"}
    assert all(hasattr(granularity, type(value).__name__) for value in VALUES)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_granularity_names_its_paper_and_equals_its_copy(value):
    text = inspect.getdoc(type(value))
    assert "Reference: " in text
    assert "https://" in text
    assert value == type(value)(**vars(value))


@pytest.mark.filterwarnings("ignore:Cycle . leaves no weight alive")
@pytest.mark.parametrize("value", GRANULARITIES, ids=repr)
@pytest.mark.parametrize(("criterion", "allocation"), PAIRS)
def test_any_criterion_and_allocation_hit_every_target_in_whole_units_and_never_revive(value, criterion, allocation):
    if value.needs_groups and isinstance(allocation, LayerFractions):
        allocation = LayerFractions({"head*": 0.1, "*": 0.2})  # that network has other names
    pruner, dead = pruner_of(value, criterion, allocation), {}
    pruner.rehearse(LEVELS)
    for cycle, sparsity in enumerate(LEVELS, start=1):
        pruner.prune_(cycle, sparsity)
        unspent = most_unspent(allocation, pruner._scores(cycle)) if isinstance(allocation, WholeFilters) else 0
        missing = round((1 - sparsity) * pruner.masks.size) - pruner.masks.alive
        # With a minimum in each group a step of an allocation may be more than a unit.
        assert 0 <= missing <= unspent or (value.needs_groups and abs(missing) <= len(pruner.masks.shapes))
        for name, mask in pruner.whole_masks().items():
            assert not (mask & dead.get(name, torch.zeros_like(mask))).any(), "a dead weight came back"
            dead[name] = ~mask
            assert int(mask.sum()) == pruner.tally().living[name]
        restored = pruner.units.found({name: mask.to(torch.uint8) for name, mask in pruner.whole_masks().items()})
        for name, mask in restored.items():
            own = pruner.masks[name]
            assert torch.equal(mask, torch.ones_like(mask) if own is None else own), "a unit is dead in part"


@pytest.mark.parametrize("value", GRANULARITIES, ids=repr)
@pytest.mark.parametrize("measure", ["weights", "flops"])
@pytest.mark.parametrize("sparsity", [0.01, 0.3, 0.5, 0.77])
def test_a_fraction_is_met_as_nearly_as_the_ranking_allows(value, sparsity, measure):
    pruner = pruner_of(value, measure=measure)
    scores, size, measure = pruner._scores(1), pruner.masks.size, pruner.measure
    allocation = in_multiples(globally, pruner.units)
    every = [measure.left(allocation(scores, kept / size)) for kept in range(1, size + 1)]
    nearest = min(abs(left - (1 - sparsity) * measure.total()) for left in every)
    pruner.prune_(1, sparsity)
    assert abs(measure.left(pruner.masks.living) - (1 - sparsity) * measure.total()) == pytest.approx(nearest)


def by_hand(rows, reduce):
    return [
        {"mean": sum(row) / len(row), "l1": sum(map(abs, row)), "l2": sum(x * x for x in row) ** 0.5, "max": max(row)}[reduce]
        for row in rows
    ]  # fmt: skip


@pytest.mark.parametrize("reduce", CHOICES)
def test_filters_score_what_their_weights_score_together(reduce):
    weight = torch.tensor([[[1.0, -3.0]], [[0.5, 2.0]], [[4.0, 0.0]]])
    pruner = pruner_of(granularity.Filters(reduce=reduce), weights={"w": weight})
    rows = weight.abs().flatten(1).tolist()
    assert pruner._scores(1)["w"].tolist() == pytest.approx(by_hand(rows, reduce))


@pytest.mark.parametrize("reduce", CHOICES)
def test_blocks_at_the_edge_score_their_own_weights_only(reduce):
    weight = -torch.arange(1.0, 16).view(3, 5)
    pruner = pruner_of(granularity.Blocks(2, 2, reduce=reduce), lambda w, e: w.clone(), weights={"w": weight})
    rows = [weight[i : i + 2, j : j + 2].flatten().tolist() for i in (0, 2) for j in (0, 2, 4)]
    assert pruner._scores(1)["w"].flatten().tolist() == pytest.approx(by_hand(rows, reduce))


def test_the_filters_of_a_transposed_convolution_are_its_output_channels():
    layer = torch.nn.ConvTranspose2d(4, 6, 3, groups=2)
    units = granularity.Filters()({"w": layer.weight.detach()}, {"w": 2})
    mask = torch.tensor([1, 0, 1, 1, 1, 0], dtype=torch.uint8)
    ((factor,),) = units.factors({"w": mask}).values()
    with torch.no_grad():
        layer.weight.mul_(factor)
        layer.bias.zero_()
    out = layer(torch.randn(1, 4, 5, 5))
    assert (out.flatten(2) != 0).any(2).tolist() == [[bool(alive) for alive in mask]]
    assert torch.equal(units.found({"w": factor.expand(layer.weight.shape)})["w"], mask)


def test_blocks_of_a_transposed_convolution_lie_along_its_outputs():
    weight = torch.randn(4, 3, 2, 2)
    units = granularity.Blocks(rows=1, columns=16)({"w": weight}, {"w": 1})
    ((factor,),) = units.factors({"w": torch.tensor([[1], [0], [1]], dtype=torch.uint8)}).values()
    assert torch.equal(factor != 0, torch.tensor([True, False, True]).view(1, 3, 1, 1).expand(weight.shape))


def test_filters_are_held_at_one_byte_each():
    pruner = pruner_of(granularity.Filters())
    pruner.prune_(1, 0.5)
    for name, (factor,) in pruner.held().items():
        assert factor.dtype == torch.uint8
        assert factor.numel() == len(pruner.weights[name])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: granularity.Filters(reduce="sum"),
            r"Filters\(reduce='sum'\) is unknown: give 'mean', 'l1', 'l2', 'max'",
        ),
        (lambda: granularity.Blocks(0, 4), r"Blocks\(rows=0\)"),
        (lambda: granularity.Blocks(4, 2.5), r"Blocks\(columns=2.5\)"),
        (lambda: granularity.Blocks(4, 4, "max"), None),
    ],
)
def test_wrong_options_are_refused(make, message):
    if message is None:
        assert make().reduce == "max"
        return
    with pytest.raises(ValueError, match=message):
        make()
