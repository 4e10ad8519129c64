"""What holds for every criterion, allocation and sparsity schedule: the members are collected from the modules."""

import inspect

import pytest
import torch
from laws import every_allocation, every_criterion, evidence_for, network
from members import ALLOCATIONS, CRITERIA, most_unspent, named

from lightning_prune import criteria
from lightning_prune.criteria import Evidence, needs_of
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.masks.masks import Masks
from lightning_prune.schedules import rates
from lightning_prune.schedules import sparsity as schedules

SCHEDULES = [
    schedules.Geometric(0.2),
    schedules.Geometric(0.9),
    schedules.OneShot(0.95),
    schedules.Linear(0.9, 7),
    schedules.Cubic(0.9, 7),
    schedules.Levels([0.1, 0.1, 0.7]),
    schedules.Geometric(0.2, initial=0.5),
    schedules.Linear(0.9, 7, initial=0.3),
    schedules.Cubic(0.9, 7, initial=0.3),
]


def test_the_members_of_the_papers_are_found_and_public():
    assert {named(c) for c in CRITERIA} >= {
        "magnitude", "random", "gradient", "gradient_magnitude", "taylor", "movement", "last_epoch_change",
        "last_epoch_change_magnitude", "snip", "grasp", "synflow", "magnitude_increase",
    }  # fmt: skip
    assert {type(c).__name__ for c in CRITERIA} >= {"OnBatches", "SynFlow", "Filters"}
    assert {named(a) for a in ALLOCATIONS} >= {"globally", "layerwise", "erk", "lamp"}
    assert {type(a).__name__ for a in ALLOCATIONS} >= {"WithFloor", "LayerFractions", "WholeFilters"}
    assert all(hasattr(criteria, named(c)) or hasattr(criteria, type(c).__name__) for c in CRITERIA)


def test_every_schedule_is_under_the_laws():
    written = {
        name
        for name, member in inspect.getmembers(schedules, inspect.isclass)
        if member.__module__ == schedules.__name__ and not inspect.isabstract(member)
    }
    assert {type(schedule).__name__ for schedule in SCHEDULES} == written


@pytest.mark.parametrize("member", [*CRITERIA, *ALLOCATIONS], ids=named)
def test_a_member_names_its_paper_and_shows_an_example(member):
    text = inspect.getdoc(member if inspect.isfunction(member) else type(member))
    assert ("Reference: " in text and "https://" in text) or isinstance(member, criteria.OnBatches)
    assert ">>> " in text


def scores_of(weights, masks, criterion, seed=0):
    def score(name):
        given = criterion(weights[name], evidence_for(weights[name].shape, seed))
        return given if masks[name] is None else given.masked_fill(masks[name] == 0, DEAD)

    return Scores(masks.shapes, masks.living, score)


KINDS = ["normal", "ties", "few values", "zeros", "scales", "bfloat16", "float64"]


@every_criterion
def test_a_criterion_looks_at_nothing_that_it_did_not_declare_and_at_all_that_it_did(criterion):
    weight, all_of_it = torch.randn(4, 3), evidence_for((4, 3))
    declared = {kind: all_of_it.found[kind] for kind in needs_of(criterion).kinds}
    for kind in declared:
        less = {one: tensor for one, tensor in declared.items() if one != kind}
        with pytest.raises(ValueError, match=f"evidence.{kind}, which was not gathered: declare it"):
            criterion(weight, Evidence(torch.Generator(), less))
    assert criterion(weight, Evidence(torch.Generator(), declared)).shape == (4, 3)


@pytest.mark.parametrize("criterion", [c for c in CRITERIA if criteria.is_elementwise(c)], ids=named)
def test_an_elementwise_criterion_scores_parts_as_it_scores_the_whole(criterion):
    weight = torch.randn(6, 5)
    score = criterion(weight, evidence_for(weight.shape)).flatten()
    for part in (slice(0, 7), slice(7, 30), slice(None, None, 4)):
        assert torch.equal(score[part], criterion(weight.flatten()[part], evidence_for(weight.shape, part=part)))


def test_what_depends_on_a_place_in_the_tensor_is_not_scored_in_pieces():
    assert not criteria.is_elementwise(criteria.random), "it would draw the same for every piece"


@pytest.mark.parametrize("criterion", [c for c in CRITERIA if needs_of(c).kinds], ids=named)
def test_narrow_weights_are_scored_in_wide_evidence(criterion):
    score = criterion(torch.randn(4, 3).bfloat16(), evidence_for((4, 3)))
    assert score.isfinite().all()
    assert score.dtype == torch.float32


@pytest.mark.parametrize(
    ("criterion", "kind"),
    [*((c, "normal") for c in CRITERIA), *((c, kind) for c in (criteria.magnitude, criteria.random) for kind in KINDS)],
    ids=named,
)
@every_allocation
def test_any_criterion_with_any_allocation_hits_every_target_and_never_revives(criterion, allocate, kind):
    weights = network(kind)
    masks = Masks(weights)
    dead_before = {name: torch.zeros(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
    for cycle, sparsity in enumerate([0.2, 0.2, 0.36, 0.9, 0.995]):
        scores = scores_of(weights, masks, criterion, seed=cycle)
        masks.shrink_(scores, allocate(scores, 1 - sparsity))
        assert 0 <= round((1 - sparsity) * masks.size) - masks.alive <= most_unspent(allocate, scores)
        for name, weight in weights.items():
            mask = masks[name] if masks[name] is not None else torch.ones(weight.shape, dtype=torch.uint8)
            assert int(mask.sum()) == masks.living[name]
            assert not (mask.bool() & dead_before[name]).any(), "a dead weight came back"
            dead_before[name] = ~mask.bool()


@every_allocation
def test_an_allocation_that_keeps_nothing_is_refused(allocate):
    with pytest.raises(ValueError, match="keeps none of 8 prunable weights: lower the sparsity"):
        allocate(Scores.of({"output": torch.rand(4), "other": torch.rand(4)}), 0.001)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_starts_where_it_says_stays_below_one_and_never_falls(schedule):
    levels = [schedule(cycle) for cycle in range(15)]
    assert levels[0] == pytest.approx(getattr(schedule, "initial", 0), abs=1e-12)
    assert all(0 <= level < 1 for level in levels)
    assert levels == sorted(levels)
    assert schedule == type(schedule)(**vars(schedule)), "a value equals its copy"


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 97])
@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_rate_curves_stay_in_range_and_end_where_they_should(steps, warmup):
    curve = [rates.one_cycle(step, steps, 0.001, 0.1, 1e-5, warmup) for step in range(steps)]
    assert all(1e-5 * (1 - 1e-9) <= rate <= 0.1 * (1 + 1e-9) for rate in curve)
    if steps > 2 and warmup < 1:
        assert curve[-1] == pytest.approx(1e-5)
        assert rates.one_cycle(steps + 5, steps, 0.001, 0.1, 1e-5, warmup) == curve[-1], "no rebound past the end"
    stepped = [rates.warmup_steps(step, steps, 0.1, warmup, (0.6, 0.8)) for step in range(steps)]
    assert all(0 <= rate <= 0.1 for rate in stepped)
