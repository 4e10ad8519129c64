"""Masks applied after every step: exact whatever the entries are, and wherever the tensors have moved."""

import math

import pytest
import torch
from torch import nn

from lightning_prune.criteria.scores import DEAD, mark_dead
from lightning_prune.masks import multiply
from lightning_prune.masks.multiply import Multiplier

NOT_NUMBERS = [math.nan, math.inf, -math.inf, -0.0, -1.0]


def spoiled(shape, dtype, seed=0):
    """A tensor whose dead entries are no numbers or negative, its mask, and the tensor as it has to become."""
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=generator).to(dtype)
    alive = torch.rand(shape, generator=generator) > 0.5
    wanted = torch.where(alive, tensor, torch.zeros_like(tensor))
    tensor[~alive] = torch.tensor(NOT_NUMBERS).to(dtype).repeat(99)[: int((~alive).sum())]
    return nn.Parameter(tensor), alive.to(torch.uint8), wanted


def are_same_bits(one, other):
    return torch.equal(
        torch.view_as_real(one) if one.is_complex() else one, torch.view_as_real(other) if other.is_complex() else other
    ) and not bool((one == 0).logical_and(torch.signbit(one.real)).any())


@pytest.mark.parametrize("wide", [0, 30, 2**20])
def test_tensors_of_all_types_become_zero_where_dead(wide, monkeypatch):
    monkeypatch.setattr(multiply, "_WIDE", wide)
    dtypes = [torch.float32, torch.bfloat16, torch.float64, torch.float16, torch.complex64, torch.float32]
    cases = [spoiled((5, 3 + place), dtype, place) for place, dtype in enumerate(dtypes)]
    multiplier = Multiplier((weight, mask) for weight, mask, _ in cases)
    for _ in range(2):
        multiplier.apply_()
        for weight, _, wanted in cases:
            assert are_same_bits(weight.detach(), wanted)


def test_a_tensor_with_other_memory_or_type_is_masked_there():
    weight, mask, _ = spoiled((4, 6), torch.float32)
    multiplier = Multiplier([(weight, mask)])
    multiplier.apply_()
    weight.data = torch.full((4, 6), math.nan)
    multiplier.apply_()
    assert torch.equal(weight.isnan(), mask.bool())
    weight.data = torch.ones(6, 4).t()
    multiplier.apply_()
    assert torch.equal(weight.detach(), mask.float())
    nn.ParameterList([weight]).to(torch.bfloat16)
    weight.data.fill_(2.0)
    multiplier.apply_()
    assert torch.equal(weight.detach(), 2 * mask.bfloat16())


def test_all_masks_of_one_tensor_are_applied():
    weight = nn.Parameter(torch.ones(3, 2))
    rows, columns = torch.tensor([[1], [0], [1]], dtype=torch.uint8), torch.tensor([[1, 0]], dtype=torch.uint8)
    Multiplier([(weight, rows), (weight, columns), (weight, torch.ones(3, 2, dtype=torch.uint8))]).apply_()
    assert weight.tolist() == [[1, 0], [0, 0], [1, 0]]


def test_gradients_are_masked_where_there_are_any():
    cases = [spoiled((3, 4), torch.float32), spoiled((2, 2), torch.bfloat16, 1), spoiled((2, 2), torch.complex64, 2)]
    without = nn.Parameter(torch.ones(2))
    masks = [(weight, mask) for weight, mask, _ in cases]
    multiplier = Multiplier([*masks, (without, torch.zeros(2, dtype=torch.uint8))])
    for weight, _, _ in cases:
        weight.grad = weight.detach().clone()
    before = [weight.detach().clone() for weight, _, _ in cases]
    multiplier.apply_to_gradients_()
    for (weight, _, wanted), kept in zip(cases, before, strict=True):
        assert are_same_bits(weight.grad, wanted)
        assert torch.equal(weight.detach().isnan(), kept.isnan()), "the weights are left alone"
    assert without.grad is None


def test_a_loss_that_still_needs_the_weights_notices_that_they_were_masked():
    weight = nn.Parameter(torch.ones(2))
    loss = (weight**2).sum()
    Multiplier([(weight, torch.tensor([1, 0], dtype=torch.uint8))]).apply_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dead_scores_are_minus_infinity_and_living_ones_keep_their_bits(dtype):
    weight, mask, _ = spoiled((7, 5), dtype)
    score = weight.detach()[:, ::2]
    found = mark_dead(score, mask[:, ::2])
    alive = mask[:, ::2].bool()
    assert found.dtype == dtype
    assert torch.equal(found[alive], score[alive])
    assert bool((found[~alive] == DEAD).all())
