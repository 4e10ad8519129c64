"""What holds for every criterion, allocation and sparsity schedule: the members are collected from the modules."""

import inspect

import pytest
import torch
from torch import Tensor

from lightning_prune import allocation, criteria, rates, schedules
from lightning_prune.criteria import Evidence
from lightning_prune.masks import Masks
from lightning_prune.scores import DEAD, Scores


def functions_with(module, *parameters):
    return [
        member
        for name, member in inspect.getmembers(module, inspect.isfunction)
        if member.__module__ == module.__name__
        and not name.startswith("_")
        and tuple(inspect.signature(member).parameters) == parameters
    ]


CRITERIA = functions_with(criteria, "weight", "evidence")
ALLOCATIONS = [f for f in functions_with(allocation, "scores", "density") if f is not allocation.budget_of]
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


def test_every_member_is_found():
    assert {f.__name__ for f in CRITERIA} >= {"magnitude", "random"}
    assert {f.__name__ for f in ALLOCATIONS} >= {"globally", "layerwise", "erk"}
    written = {
        name for name, _ in inspect.getmembers(schedules, inspect.isclass) if name not in ("ABC", "SparsitySchedule")
    }
    assert {type(schedule).__name__ for schedule in SCHEDULES} == written


def network(kind: str) -> dict[str, Tensor]:
    """Weights that are hard on a selection."""
    generator = torch.Generator().manual_seed(3)
    shapes = {"conv": (8, 3, 3, 3), "wide": (500, 300), "narrow": (10, 500), "tiny": (2, 2)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    if kind == "ties":
        return {name: torch.ones(shape) for name, shape in shapes.items()}
    if kind == "few values":
        return {name: weight.round() for name, weight in weights.items()}
    if kind == "zeros":
        return {name: weight * (weight > 0.5) for name, weight in weights.items()}
    if kind == "scales":
        return {name: weight * 10.0**i for i, (name, weight) in enumerate(weights.items())}
    if kind == "bfloat16":
        return {name: weight.bfloat16() for name, weight in weights.items()}
    if kind == "float64":
        return {name: weight.double() for name, weight in weights.items()}
    return weights


def scores_of(weights, masks, criterion, seed=0):
    def score(name):
        given = criterion(weights[name], Evidence(torch.Generator().manual_seed(seed)))
        return given if masks[name] is None else given.masked_fill(masks[name] == 0, DEAD)

    return Scores(masks.shapes, masks.living, score)


KINDS = ["normal", "ties", "few values", "zeros", "scales", "bfloat16", "float64"]


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda f: f.__name__)
def test_a_criterion_gives_finite_scores_of_the_shape_and_leaves_the_weight_alone(criterion):
    weight = torch.randn(5, 4, 3, requires_grad=True)
    weight.grad = torch.randn_like(weight)
    before, gradient = weight.detach().clone(), weight.grad.clone()
    score = criterion(weight, Evidence(torch.Generator().manual_seed(0)))
    again = criterion(weight, Evidence(torch.Generator().manual_seed(0)))
    assert score.shape == weight.shape
    assert score.isfinite().all()
    assert not score.requires_grad
    assert torch.equal(score, again)
    assert torch.equal(weight, before)
    assert torch.equal(weight.grad, gradient)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("allocate", ALLOCATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda f: f.__name__)
def test_any_criterion_with_any_allocation_hits_every_target_and_never_revives(criterion, allocate, kind):
    weights = network(kind)
    masks = Masks(weights)
    dead_before = {name: torch.zeros(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
    for cycle, sparsity in enumerate([0.2, 0.2, 0.36, 0.9, 0.995]):
        scores = scores_of(weights, masks, criterion, seed=cycle)
        masks.shrink_(scores, allocate(scores, 1 - sparsity))
        assert masks.alive == round((1 - sparsity) * masks.size)
        for name, weight in weights.items():
            mask = masks[name] if masks[name] is not None else torch.ones(weight.shape, dtype=torch.uint8)
            assert int(mask.sum()) == masks.living[name]
            assert not (mask.bool() & dead_before[name]).any(), "a dead weight came back"
            dead_before[name] = ~mask.bool()


@pytest.mark.parametrize("allocate", ALLOCATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("density", [1.0, 0.999, 0.5, 0.01, 0.0001])
def test_an_allocation_spends_the_budget_exactly_and_within_bounds(allocate, density):
    scores = Scores.of({name: weight.abs() for name, weight in network("normal").items()})
    counts = allocate(scores, density)
    assert sum(counts.values()) == round(density * scores.size)
    assert all(0 <= counts[name] <= scores.shapes[name].numel() for name in scores)


@pytest.mark.parametrize("allocate", ALLOCATIONS, ids=lambda f: f.__name__)
def test_an_allocation_that_keeps_nothing_is_refused(allocate):
    with pytest.raises(ValueError, match="keeps none of 8 prunable weights: lower the sparsity"):
        allocate(Scores.of({"a": torch.rand(8)}), 0.001)


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
