"""Norms between those of a new network and the trained ones, in training only."""

import pytest
import torch
from lightning.pytorch import Callback
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import fit, toy

from lightning_prune import EstimateBatchNorm, FineTune, IterativePruning, NormInterpolation
from lightning_prune.callbacks.companions.norm_interpolation import Share, interpolate_


@pytest.mark.parametrize(
    "make", [lambda: nn.BatchNorm2d(3), lambda: nn.GroupNorm(1, 3), lambda: nn.InstanceNorm2d(3, affine=True)]
)
def test_output_and_gradients_are_those_of_the_formula(make):
    torch.manual_seed(0)
    layer, plain, share = make(), make(), Share(0.3)
    weight, bias = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    handles = interpolate_(nn.Sequential(layer), share)
    images = torch.randn(4, 3, 5, 5)
    found = layer(images)
    normalized = plain(images)  # with ones and zeros
    expected = normalized * (0.3 + 0.7 * weight).view(3, 1, 1) + (0.7 * bias).view(3, 1, 1)
    torch.testing.assert_close(found, expected)
    (found**2).sum().backward()
    (expected**2).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad)
    torch.testing.assert_close(layer.bias.grad, bias.grad)
    assert isinstance(layer.weight, nn.Parameter)
    assert torch.equal(layer.weight, weight)
    layer.eval(), plain.eval()
    torch.testing.assert_close(layer(images), plain(images) * weight.view(3, 1, 1) + bias.view(3, 1, 1))
    for handle in handles:
        handle.remove()
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks


def test_a_layer_that_fails_has_its_own_parameters_again():
    layer = nn.BatchNorm2d(3)
    interpolate_(layer, Share(0.5))
    with pytest.raises(ValueError, match="expected 4D input"):
        layer(torch.randn(2, 3))
    assert isinstance(layer.weight, nn.Parameter)


class Sees(Callback):
    """The number of each batch, and the output of the norm for the same input in every phase."""

    def __init__(self, interpolation):
        self.interpolation, self.shares, self.validated = interpolation, [], []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.shares.append(self.interpolation._share.initial)

    def on_validation_batch_end(self, *_):
        self.validated.append(self.interpolation._share.initial)


def test_each_batch_of_every_phase_has_a_number_of_its_own_and_validation_has_none():
    interpolation = NormInterpolation()
    sees, module = Sees(interpolation), toy()
    callbacks = [IterativePruning(cycles=1, retrain="1ep"), FineTune(), EstimateBatchNorm(), interpolation, sees]
    fit(callbacks, module)
    assert len(set(sees.shares)) == len(sees.shares) == 30
    assert all(0 <= share < 1 for share in sees.shares)
    assert 0.3 < sum(sees.shares) / 30 < 0.7
    assert set(sees.validated) == {0.0}
    assert not module.net[1]._forward_hooks, "nothing is left in the network"


def test_it_changes_the_training():
    ends = []
    for beside in ((), (NormInterpolation(),)):
        module = toy()
        fit([IterativePruning(cycles=1, retrain="1ep"), FineTune(), *beside], module, max_epochs=1)
        ends.append(module.net[4].weight.detach().clone())
    assert not torch.equal(*ends)


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    resume_from_every_epoch(tmp_path, NormInterpolation)


def test_a_fit_that_fails_leaves_nothing_in_the_network():
    class Fails(Callback):
        def on_train_batch_end(self, *_):
            raise RuntimeError("stop here")

    module = toy()
    with pytest.raises(RuntimeError, match="stop here"):
        fit([IterativePruning(cycles=1, retrain="1ep"), NormInterpolation(), Fails()], module)
    assert not module.net[1]._forward_pre_hooks


def test_networks_that_it_cannot_work_in_are_refused():
    with pytest.raises(ValueError, match="NormInterpolation has nothing to interpolate: Toy"):
        fit([IterativePruning(cycles=1, retrain="1ep"), NormInterpolation()], toy(plain=True))
    compiled = toy()
    compiled.net[1] = torch.compile(compiled.net[1])
    with pytest.raises(ValueError, match="Leave out torch.compile"):
        fit([IterativePruning(cycles=1, retrain="1ep"), NormInterpolation()], compiled)
    with pytest.raises(ValueError, match=r"NormInterpolation\(seed=-1\) is no seed"):
        NormInterpolation(seed=-1)
