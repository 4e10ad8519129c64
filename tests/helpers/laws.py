"""Laws that a new criterion and a new allocation are under."""

import pytest
import torch
from members import ALLOCATIONS, CRITERIA, most_unspent, named
from torch import Tensor

from lightning_prune.criteria import Evidence
from lightning_prune.criteria.evidence import KINDS as EVIDENCE
from lightning_prune.criteria.scores import Scores
from lightning_prune.selection.filter_layout import filter_count

every_criterion = pytest.mark.parametrize("criterion", CRITERIA, ids=named)


every_allocation = pytest.mark.parametrize("allocate", ALLOCATIONS, ids=named)


def network(kind: str, wide=(60, 50)) -> dict[str, Tensor]:
    """Weights that are hard on a selection."""
    generator = torch.Generator().manual_seed(3)
    shapes = {"conv": (8, 3, 3, 3), "wide": wide, "output": (10, 500), "tiny": (2, 2)}
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


def evidence_for(shape, seed=0, part=None, transposed=0) -> Evidence:
    """Something of every kind; that of a part is the part of it."""
    made = torch.Generator().manual_seed(seed + 1)
    found = {kind: torch.randn(shape, generator=made) for kind in EVIDENCE}
    found["squared_gradient"] = found["squared_gradient"].square()
    found["input_norm"] = found["input_norm"].abs()
    size = torch.Size(shape).numel() // filter_count(torch.Size(shape), transposed)
    inputs = torch.randn(50, size, generator=made)
    found["input_gram"] = (inputs.t() @ inputs)[None]
    if part is not None:
        found = {kind: tensor.flatten()[part] for kind, tensor in found.items()}
    return Evidence(torch.Generator().manual_seed(seed), found, transposed)


@every_criterion
def test_a_criterion_keeps_the_shape_and_touches_nothing(criterion):
    weight = torch.randn(5, 4, 3, requires_grad=True)
    weight.grad = torch.randn_like(weight)
    before, gradient = weight.detach().clone(), weight.grad.clone()
    evidence = evidence_for(weight.shape)
    copies = {kind: tensor.clone() for kind, tensor in evidence.found.items()}
    score = criterion(weight, evidence)
    assert score.shape == weight.shape
    assert score.isfinite().all()
    assert not score.requires_grad
    assert torch.equal(score, criterion(weight, evidence_for(weight.shape)))
    assert torch.equal(weight, before)
    assert torch.equal(weight.grad, gradient)
    assert all(torch.equal(tensor, copies[kind]) for kind, tensor in evidence.found.items())


@every_allocation
@pytest.mark.parametrize("density", [1.0, 0.999, 0.5, 0.01, 0.0001])
def test_an_allocation_spends_the_budget_exactly_and_within_bounds(allocate, density):
    scores = Scores.of({name: weight.abs() for name, weight in network("normal", wide=(500, 300)).items()})
    counts = allocate(scores, density)
    assert 0 <= round(density * scores.size) - sum(counts.values()) <= most_unspent(allocate, scores)
    assert all(0 <= counts[name] <= scores.shapes[name].numel() for name in scores)
