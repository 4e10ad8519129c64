"""Updates of masks, written again in a few lines of numpy: RigL, SET and AC/DC do the same."""

import math

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from moving_masks import PRUNED, moving, run
from toys import toy

from lightning_prune import ACDC, SET, RigL, balanced, erk, globally, layerwise
from lightning_prune.masks.drop_and_grow import drop_and_grow
from lightning_prune.masks.masks import Masks


def rewired(mask, weight, grown, fraction):
    """Keep the largest living weights, and let those with the highest scores live among all others."""
    mask, weight, grown = (np.asarray(one, dtype=np.float64).ravel() for one in (mask, weight, grown))
    living = int(mask.sum())
    count = int(fraction * living)
    order = np.lexsort((np.arange(mask.size), -np.abs(weight), mask == 0))
    kept = np.zeros(mask.size, dtype=bool)
    kept[order[: living - count]] = True
    order = np.lexsort((np.arange(mask.size), -grown, kept))
    kept[order[:count]] = True
    return kept


class Sees(Callback):
    """Notes weights, gradients and masks before each step, and the masks after it. It comes after the callback."""

    def __init__(self):
        self.before, self.after = [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.mask = {name: one.clone() for name, one in moving(trainer).masks.items()}
        self.weight = {name: pl_module.get_parameter(name).detach().clone() for name in PRUNED}

    def on_after_backward(self, trainer, pl_module):
        gradients = {name: pl_module.get_parameter(name).grad.clone() for name in PRUNED}
        self.before.append((self.mask, self.weight, gradients))

    def on_train_batch_end(self, trainer, pl_module, *_):
        masks = {name: one.clone() for name, one in moving(trainer).masks.items()}
        self.after.append((masks, {name: one.detach().clone() for name, one in pl_module.named_parameters()}))


def test_an_update_of_rigl_is_that_of_the_paper_and_takes_the_place_of_the_step():
    sees = Sees()
    run(lambda: RigL(0.6, layerwise, "5it", fraction=0.3, until=0.75), sees)
    end, updates = round(0.75 * 24), []
    for step, ((mask, weight, gradient), (now, weights)) in enumerate(zip(sees.before, sees.after, strict=True)):
        if step not in (5, 10, 15):
            assert all(torch.equal(mask[name], now[name]) for name in PRUNED), step
            continue
        fraction = 0.15 * (1 + math.cos(math.pi * step / end))
        for name in PRUNED:
            expected = rewired(mask[name], weight[name], gradient[name].abs(), fraction)
            assert np.array_equal(now[name].numpy().ravel(), expected), (step, name)
            assert torch.equal(weights[name], weight[name] * now[name] * mask[name]), "no step was made"
        updates.append(sum(int((now[name] & ~mask[name]).sum()) for name in PRUNED))
    assert len(updates) == 3
    assert updates[0] > updates[-1] > 0, "the fraction falls"


def test_gradients_of_dead_weights_are_dense_and_steps_between_do_not_use_them():
    sees = Sees()
    run(lambda: RigL(0.6, every="5it"), sees)
    for mask, _, gradient in sees.before:
        assert any(gradient[name][~mask[name]].any() for name in PRUNED)


def test_set_drops_the_smallest_and_grows_at_random_before_an_epoch():
    sees, callback = Sees(), SET(0.6, layerwise, "1ep", fraction=0.3)
    run(lambda: callback, sees)
    changes = []
    for step in range(1, 24):
        old, new = sees.after[step - 1][0], sees.before[step][0]
        moved = {name: int((new[name] & ~old[name]).sum()) for name in PRUNED}
        changes.append(sum(moved.values()))
        if step % 6:
            assert not changes[-1]
            continue
        for name in PRUNED:
            weight = sees.after[step - 1][1][name].abs()
            count = int(0.3 * int(old[name].sum()))
            lowest = weight[old[name]].sort().values[count:]  # the others were dropped, but for those that returned
            assert (weight[old[name] & new[name]].sort().values[-len(lowest) :] == lowest).all()
            assert 0 < moved[name] <= count
    assert sum(bool(one) for one in changes) == 3
    random = [sees.before[6][0][name] & ~sees.after[5][0][name] for name in PRUNED]
    again = Sees()
    run(lambda: SET(0.6, layerwise, "1ep", fraction=0.3, seed=1), again)
    others = [again.before[6][0][name] & ~again.after[5][0][name] for name in PRUNED]
    assert any(not torch.equal(one, other) for one, other in zip(random, others, strict=True)), "by the seed"


def test_acdc_keeps_the_largest_weights_of_the_whole_network_in_its_sparse_phases():
    sees = Sees()
    run(lambda: ACDC(0.6, ["1ep", "3ep"], ["2ep"]), sees)
    for step in (6, 18):
        trained = torch.cat([sees.after[step - 1][1][name].flatten().abs() for name in PRUNED])
        cut = trained.sort(descending=True).values[round(0.4 * trained.numel()) - 1]
        for name in PRUNED:
            assert torch.equal(sees.before[step][0][name], sees.after[step - 1][1][name].abs() >= cut)
    assert all(not sees.before[step][0] for step in (0, 5, 12, 17)), "nothing is dead in a dense phase"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_drop_and_grow_is_the_same_for_every_type_and_with_ties(dtype):
    generator = torch.Generator().manual_seed(0)
    for count in (0, 1, 7, 20):
        mask = (torch.rand(6, 8, generator=generator) < 0.5).to(torch.uint8)
        mask.view(-1)[:20] = 1
        weight, gradient = torch.randint(-2, 3, (2, 6, 8), generator=generator).to(dtype)
        found = drop_and_grow(mask, weight.abs(), gradient.abs(), count)
        fraction = count / int(mask.sum()) + 1e-9
        expected = rewired(mask, weight.double(), gradient.double().abs(), fraction)
        assert np.array_equal(found.numpy().ravel().astype(bool), expected)
        assert found.sum() == mask.sum()


def test_too_many_or_diverged_weights_are_refused():
    mask, scores = torch.tensor([1, 0], dtype=torch.uint8), torch.ones(2)
    with pytest.raises(ValueError, match="count=2\\) must be from 0 to 1"):
        drop_and_grow(mask, scores, scores, 2)
    with pytest.raises(ValueError, match="NaN or infinite"):
        drop_and_grow(mask, scores, scores * float("nan"), 1)


def test_masks_that_are_replaced_are_counted():
    masks = Masks({"a": torch.ones(3)})
    masks.replace_({"a": torch.tensor([1, 0, 1], dtype=torch.uint8)})
    assert (masks.alive, masks.sparsity) == (2, pytest.approx(1 / 3))
    masks.replace_({"a": torch.tensor([1, 1, 1], dtype=torch.uint8)})
    assert masks.alive == 3


def test_the_first_masks_follow_the_allocation():
    found = {}
    for allocation in (erk, layerwise, globally, balanced):
        callback = RigL(0.6, allocation, seed=3)
        run(lambda callback=callback: callback, module=toy(), max_epochs=1)
        found[allocation.__name__] = {name: int(mask.sum()) for name, mask in callback.masks.items()}
    assert found["layerwise"] == {"net.0.weight": 14, "net.4.weight": 256, "net.7.weight": 12}
    assert found["erk"].get("net.0.weight", 36) > 14
    assert len({tuple(sorted(one.items())) for one in found.values()}) == 4
