"""Structures that a fit has masked are removed exactly, and the small network has what the budget says."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from toys import equal, fit, toy

from lightning_prune import Geometric, IterativePruning, OneShot, Reinitialize, Shrink, WeightRewind, shrink

granularity = pytest.importorskip("lightning_prune.granularity", reason="the granularity Structures is not there yet")
BESIDE = {
    "nothing": lambda: [],
    "rewind": lambda: [WeightRewind(to="2ep")],
    "reinitialize": lambda: [Reinitialize()],
    "average": lambda: [EMAWeightAveraging(decay=0.9)],
}


def pruning(**options):
    settings = {"cycles": 2, "retrain": "2ep", "sparsity": Geometric(0.3), "measure": "units", **options}
    return IterativePruning(granularity=granularity.Structures(), **settings)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("options", [{}, {"optimizer": adamw}], ids=["SGD", "AdamW"])
def test_the_small_network_of_a_fit_is_its_masked_one(beside, options, tmp_path):
    length = {"retrain": None} if beside is BESIDE["reinitialize"] else {}
    masked, small = toy(**options), toy(**options)
    fit([pruning(**length), *beside()], masked)
    clock, callback, keep = pruning(**length), Shrink(), ModelCheckpoint(tmp_path, save_last=True)
    fit([clock, *beside(), callback, keep], small)
    assert not callback.shrunk.masked
    assert callback.shrunk.record.alive
    images = torch.randn(7, 1, 6, 6)
    assert torch.allclose(masked.eval()(images), small.eval()(images), atol=1e-5)
    dead = sum(int((one == 0).sum()) for one in callback.shrunk.record.alive.values())
    assert dead == round(clock.measured_sparsity * 14)
    later = toy(**options)
    shrink(later, checkpoint=tmp_path / "last.ckpt", example=images)
    assert equal(dict(later.state_dict()), dict(small.state_dict()))


def test_the_parameters_that_are_left_are_what_was_asked_for():
    small, callback = toy(), Shrink()
    clock = pruning(cycles=1, sparsity=OneShot(0.5), measure="weights")
    fit([clock, callback], small)
    before, after = callback.shrunk.parameters
    assert after == sum(one.numel() for one in small.parameters())
    assert after / before == pytest.approx(1 - clock.measured_sparsity, abs=0.02)
