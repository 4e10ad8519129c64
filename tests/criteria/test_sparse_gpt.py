"""SparseGPT against the exact inverse, against optimal brain surgeon solved column by column, and its exact counts."""

import numpy as np
import pytest
import torch
from torch import nn

import lightning_prune as lp
from lightning_prune import NofM, criteria, layerwise, prune
from lightning_prune.criteria import Evidence, OnBatches, Switch
from lightning_prune.criteria.declared import solver_of
from lightning_prune.criteria.sparse_gpt import solve


def evidence(gram, transposed=0):
    return Evidence(torch.Generator(), {"input_gram": torch.as_tensor(gram).float()}, transposed)


def inputs(size, samples=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(size) + 0.4 * torch.randn(size, size, generator=generator)
    return torch.randn(samples, size, generator=generator) @ mixing


def damped(gram):
    gram = np.asarray(gram, dtype=np.float64)
    return gram + 0.01 * np.diag(gram).mean() * np.eye(len(gram))


def surgeon(row, hessian, dead):
    """Remove weights one after the other: each time the later ones change, so that the loss rises least."""
    row, size = np.array(row, dtype=np.float64), len(row)
    for j in range(size):
        if not dead[j]:
            continue
        rest = np.arange(j + 1, size)
        if len(rest):
            row[rest] += np.linalg.solve(hessian[np.ix_(rest, rest)], hessian[rest, j]) * row[j]
        row[j] = 0
    return row


def test_the_score_is_that_of_the_exact_inverse_of_what_is_left():
    """A column's score is w^2 over the diagonal of the inverse of the matrix of this column and the later ones."""
    x, weight = inputs(7), torch.randn(5, 7)
    hessian = damped(x.t() @ x)
    expected = np.stack([
        weight[:, j].numpy() ** 2 / np.linalg.inv(hessian[j:, j:])[0, 0] for j in range(7)
    ], axis=1)  # fmt: skip
    found = criteria.sparse_gpt(weight, evidence((x.t() @ x)[None]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("keep", [(2, 4), 60, 13])
def test_living_weights_are_those_of_the_surgeon_for_the_same_mask(keep):
    x, weight = inputs(12), torch.randn(8, 12)
    gram = x.t() @ x
    mask, new = solve(weight, evidence(gram[None]), None, keep)
    assert int(mask.sum()) == (keep if isinstance(keep, int) else 48)
    expected = [surgeon(row, damped(gram), ~kept) for row, kept in zip(weight.numpy(), mask.numpy(), strict=True)]
    np.testing.assert_allclose(new.numpy(), np.stack(expected), rtol=2e-3, atol=1e-4)


def by_the_paper(weight, gram, keep, columns=128):
    """The loop of the paper, in numpy, with the whole inverse."""
    work = np.array(weight, dtype=np.float64)
    factor = np.linalg.cholesky(np.linalg.inv(damped(gram))).T
    mask = np.ones(work.shape, dtype=bool)
    for start in range(0, work.shape[1], columns):
        block = range(start, min(start + columns, work.shape[1]))
        if isinstance(keep, float):
            cost = work[:, block] ** 2 / np.diag(factor)[block] ** 2
            number = round((1 - keep) * cost.size)
            mask[:, block] = (cost.ravel().argsort().argsort() >= number).reshape(cost.shape)
        for j in block:
            if isinstance(keep, tuple) and j % keep[1] == 0:
                few = slice(j, j + keep[1])
                cost = work[:, few] ** 2 / np.diag(factor)[few] ** 2
                mask[:, few] = cost.argsort(1).argsort(1) >= keep[1] - keep[0]
            error = np.where(mask[:, j], 0, work[:, j]) / factor[j, j]
            work[:, j:] -= error[:, None] * factor[None, j, j:]
    return mask, work * mask


@pytest.mark.parametrize("keep", [0.5, (2, 4)], ids=["half", "2 of 4"])
def test_blocks_of_columns_are_chosen_as_in_the_paper(keep):
    x, weight = inputs(256, samples=600), torch.randn(6, 256)
    gram = x.t() @ x
    mask, new = solve(weight, evidence(gram[None]), None, keep if isinstance(keep, tuple) else weight.numel() // 2)
    expected, changed = by_the_paper(weight.numpy(), gram, keep)
    assert (mask.numpy() == expected).mean() > 0.999, "but for rounding"
    np.testing.assert_allclose(new[:, :100].numpy(), changed[:, :100], rtol=0.02, atol=0.02)
    assert mask[:, :128].sum() == mask[:, 128:].sum()


def test_the_update_repairs_what_the_mask_alone_breaks():
    x, weight = inputs(32, 200), inputs(32, 16, seed=9)
    gram = x.t() @ x
    mask, new = solve(weight, evidence(gram[None]), None, 256)
    error, without = ((x @ (one - weight).t()).square().sum() for one in (new, weight * mask))
    best = sum(  # no weights on this mask are better than those of least squares
        float(np.linalg.lstsq(x[:, kept].numpy(), (x @ row).numpy(), rcond=None)[1].sum())
        for row, kept in zip(weight, mask, strict=True)
    )
    assert best <= error < 0.8 * without


def test_what_is_dead_stays_dead_and_the_count_is_exact():
    generator = torch.Generator().manual_seed(0)
    for trial in range(6):
        weight = torch.randn(5, 300, generator=generator)
        rising = torch.linspace(trial / 6, 1, 300)  # the dead ones lie at the start, or at the end
        living = torch.rand(5, 300, generator=generator) < (rising if trial % 2 else rising.flip(0))
        x = inputs(300, 400, trial)
        for keep in (1, int(living.sum()) // 2, int(living.sum()) - 1):
            mask, new = solve(weight * living, evidence((x.t() @ x)[None]), living.to(torch.uint8), keep)
            assert int(mask.sum()) == keep
            assert not (mask & ~living).any()
            assert not new[~mask].any()


def test_groups_have_their_own_inputs_and_turned_matrices_are_turned():
    x, y, weight = inputs(6), inputs(6, seed=1), torch.randn(4, 6)
    grams = torch.stack([one.t() @ one for one in (x, y)])
    _, new = solve(weight, evidence(grams), None, 12)
    mask = new != 0
    for row, kept, gram, found in zip(weight, mask, grams.repeat_interleave(2, 0), new, strict=True):
        np.testing.assert_allclose(found, surgeon(row.numpy(), damped(gram), ~kept.numpy()), rtol=2e-3, atol=1e-4)
    mask, new = solve(weight, evidence(grams[:1]), None, (2, 3))
    turned = solve(weight.t(), evidence(grams[:1], transposed=1), None, (2, 3))
    assert torch.equal(turned[0], mask.t())
    assert torch.equal(turned[1], new.t())


def test_neighbors_of_a_convolution_are_its_input_channels():
    layer = nn.Conv2d(8, 4, 3)
    masks = prune(layer, 0.5, criterion=criteria.sparse_gpt, granularity=NofM(2, 4), batches=[torch.randn(4, 8, 6, 6)])
    assert (masks["weight"].view(4, 2, 4, 9).sum(2) == 2).all()


def test_an_input_that_is_always_zero_is_the_first_to_go_and_changes_nothing_else():
    x = inputs(6)
    x[:, 2] = 0
    weight = torch.randn(4, 6) + 3
    mask, new = solve(weight, evidence((x.t() @ x)[None]), None, 20)
    assert not mask[:, 2].any()
    torch.testing.assert_close(new[:, [0, 1, 3, 4, 5]], weight[:, [0, 1, 3, 4, 5]])
    mask, _ = solve(weight, evidence(torch.zeros(1, 6, 6)), None, 20)
    assert int(mask.sum()) == 20


def test_wrappers_hand_on_what_solves():
    solver = solver_of(criteria.sparse_gpt, 1)
    assert solver is not None
    assert solver_of(OnBatches(criteria.sparse_gpt, 2), 1) is solver
    switch = Switch(criteria.sparse_gpt, criteria.magnitude, cycle=2)
    assert solver_of(switch, 1) is solver
    assert solver_of(switch, 2) is None


def test_units_larger_than_a_weight_are_scored_and_not_changed():
    layer, x = nn.Linear(8, 6), torch.randn(20, 8)
    before = layer.weight.detach().clone()
    masks = prune(layer, 0.5, criterion=criteria.sparse_gpt, granularity=lp.Filters(), batches=[x])
    kept = masks["weight"].all(1)
    assert int(kept.sum()) == 3
    assert torch.equal(layer.weight[kept], before[kept])


def test_a_second_prune_goes_on_from_the_changed_weights():
    layer, x = nn.Linear(64, 16), inputs(64, 200)
    first = prune(layer, 0.3, criterion=criteria.sparse_gpt, allocation=layerwise, batches=[x])["weight"].clone()
    second = prune(layer, 0.6, criterion=criteria.sparse_gpt, allocation=layerwise, batches=[x])["weight"]
    assert not (second & ~first).any()
    assert int(second.sum()) == round(0.4 * 64 * 16)
    assert int((layer.weight != 0).sum()) == int(second.sum())


def test_what_cannot_be_unfolded_is_refused_by_name_and_nothing_changes():
    net = nn.Sequential(nn.Conv1d(4, 4, 3), nn.ConvTranspose1d(4, 4, 3))
    before = net[0].weight.detach().clone()
    with pytest.raises(ValueError, match=r"nothing was seen of 1.weight.*Transposed .*exclude=\['1.weight'\]"):
        prune(net, 0.5, criterion=criteria.sparse_gpt, batches=[torch.randn(2, 4, 9)])
    assert torch.equal(net[0].weight, before)
