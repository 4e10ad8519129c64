"""Gram matrices of what flows into weights, and of what units contribute, against rewrites by derivatives and numpy."""

import numpy as np
import pytest
import torch
from gathering import Cross
from lightning.pytorch import Callback
from structured import Residual, structured
from torch import nn
from toys import Images, equal, fit, toy

import lightning_prune as lp
from lightning_prune import IterativePruning, OneShot, Structures, criteria, layerwise, prune
from lightning_prune.callbacks.gathering.activations.measure import contribution_grams, input_grams
from lightning_prune.callbacks.without_trainer.own_loss import OwnLoss
from lightning_prune.criteria import OnBatches
from lightning_prune.selection.filter_layout import by_filter, transposed_groups


def grams(module, *batches, **options):
    weights = {name: one for name, one in module.named_parameters() if one.dim() > 1}
    source = OwnLoss(module, batches, None)
    with source.without_trace(0):
        return input_grams(source, weights, transposed_groups(module), len(batches), 0, "sparse_gpt")


LAYERS = {
    "a convolution": (nn.Conv2d(2, 3, 3), (2, 2, 5, 4)),
    "strides, padding, dilation": (nn.Conv2d(2, 3, (3, 2), stride=2, padding=(2, 1), dilation=(2, 1)), (2, 2, 7, 6)),
    "groups": (nn.Conv2d(4, 6, 2, groups=2, padding=1), (2, 4, 3, 3)),
    "depthwise": (nn.Conv1d(4, 8, 3, groups=4), (2, 4, 6)),
    "three dimensions": (nn.Conv3d(1, 2, 2), (2, 1, 3, 3, 3)),
    "linear": (nn.Linear(5, 3), (7, 5)),
    "linear on sequences": (nn.Linear(5, 5, bias=False), (2, 4, 5)),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_the_gram_matrix_is_that_of_the_derivatives_by_the_weights_of_an_output(layer, shape):
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(shape, generator=generator) for _ in range(2)]
    size = layer.weight[0].numel()
    expected = torch.zeros(len(layer.weight), size, size)
    for batch in batches:
        for one in layer(batch).flatten():
            (slope,) = torch.autograd.grad(one, layer.weight, retain_graph=True)
            rows = slope.flatten(1)
            expected += rows[:, :, None] * rows[:, None]
    found = grams(nn.Sequential(layer), *batches)["0.weight"]
    assert found.shape == (getattr(layer, "groups", 1), size, size)
    torch.testing.assert_close(found.repeat_interleave(len(layer.weight) // len(found), 0), expected)
    norms = found.diagonal(dim1=1, dim2=2).sqrt()
    assert torch.isfinite(norms).all()


def test_keys_and_queries_of_a_packed_weight_have_their_own_inputs():
    x = torch.randn(2, 3, 4)
    found = grams(Cross(), x)["attention.in_proj_weight"]
    own = x.flatten(0, 1).t() @ x.flatten(0, 1)
    torch.testing.assert_close(found, torch.stack([own, 4 * own, 9 * own]))


def test_turned_layers_read_along_the_other_dimension():
    turned = pytest.importorskip("transformers.pytorch_utils").Conv1D(4, 4)
    x = torch.randn(5, 4)
    found = grams(turned, x)["weight"]
    torch.testing.assert_close(found[0], x.t() @ x)
    assert by_filter(turned.weight, transposed_groups(turned)["weight"]).shape == (4, 4)

    class Wrong(nn.Linear):
        def forward(self, given):
            return given @ self.weight  # not the transpose: its rows are no outputs

    with pytest.raises(ValueError, match=r"nothing was seen of weight"):
        grams(Wrong(4, 4), x)


def test_many_images_are_unfolded_in_parts(monkeypatch):
    from lightning_prune.callbacks.gathering.activations import input_grams as file

    layer, x = nn.Conv2d(2, 3, 3), torch.randn(5, 2, 6, 6)
    whole = grams(layer, x)["weight"]
    monkeypatch.setattr(file, "_AT_ONCE", 600)
    torch.testing.assert_close(grams(layer, x)["weight"], whole)


# What units contribute.


def contributions(net, x, batches=1, **options):
    weights = {name: one for name, one in net.named_parameters() if one.dim() > 1}
    units = Structures(**options)(weights, transposed_groups(net), lp.structures_of(net, x))
    return contribution_grams(OwnLoss(net, [x], None), units, dict(net.named_parameters()), batches, 0)


def test_with_one_output_and_position_contributions_are_exact():
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 1))
    x = torch.randn(1, 5)
    terms = (net[1](net[0](x)) * net[2].weight).detach().numpy()[0]
    np.testing.assert_allclose(contributions(net, x)["0"].numpy(), np.outer(terms, terms), rtol=1e-4, atol=1e-7)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, (2, 3), dilation=(1, 1)), nn.Flatten())
    x = torch.randn(1, 2, 4, 5)
    terms = (net[1](net[0](x)) * net[2].weight).sum((2, 3)).detach().numpy()[0]
    np.testing.assert_allclose(contributions(net, x)["0"].numpy(), np.outer(terms, terms), rtol=1e-4, atol=1e-7)


def test_draws_come_near_to_all_outputs_and_a_unit_of_several_inputs_is_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 9, 4))
    x = torch.randn(32, 1, 3, 3)
    hidden = net[1](net[0](x)).detach().flatten(2)
    terms = torch.einsum("ncp,ocp->noc", hidden, net[3].weight.detach().view(4, 5, 9)).flatten(0, 1)
    exact = (terms.t() @ terms / len(terms)).numpy()
    found = contributions(net, x)["0"].numpy()
    assert np.abs(found - exact).max() < 0.15 * np.abs(exact).max()
    np.testing.assert_array_equal(found, contributions(net, x)["0"].numpy(), err_msg="the draws are those of the seed")


def test_a_stream_is_read_by_all_its_consumers():
    net = Residual()
    found = contributions(net, torch.randn(4, 1, 6, 6))
    assert all(torch.allclose(one, one.t()) and (one.diagonal() > 0).any() for one in found.values())


@pytest.mark.parametrize("name", ["reconstruction_error", "reconstruction_error_forward", "lasso_channels"])
def test_criteria_of_contributions_prune_a_fit(name):
    pruning = IterativePruning(
        cycles=2, retrain="1ep", sparsity=OneShot(0.5), granularity=Structures(), criterion=getattr(criteria, name),
        allocation=lp.per_group, measure="units",
    )  # fmt: skip
    with pytest.warns(UserWarning, match="removes nothing in cycle 2"):
        fit([pruning], structured(), Images(shuffle=True), max_epochs=1)
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.02)


def test_filters_do_not_know_what_reads_them():
    with pytest.raises(ValueError, match=r"do not know which layers read them: give .*Structures\(\)"):
        prune(structured().net, 0.5, criterion=criteria.lasso_channels, granularity=lp.Filters(), batches=[torch.zeros(1, 1, 6, 6)])  # fmt: skip


# Several processes.


class Written(Callback):
    def __init__(self, folder, pruning):
        self.folder, self.pruning = folder, pruning

    def on_cycle_start(self, trainer, pl_module, cycle):
        weights = {name: one.detach().clone() for name, one in pl_module.named_parameters()}
        torch.save((weights, self.pruning.masks), self.folder / f"rank {trainer.global_rank}.pt")


CHOICES = {
    "sparse_gpt": {"criterion": OnBatches(criteria.sparse_gpt, 2), "allocation": layerwise},
    "in blocks": {"criterion": OnBatches(criteria.InSequence(criteria.sparse_gpt), 2), "allocation": layerwise},
    "lasso": {
        "criterion": OnBatches(criteria.lasso_channels, 2), "granularity": Structures(), "measure": "units",
        "allocation": lp.per_group,
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler`", "ignore:It is recommended to use `self.log")
@pytest.mark.parametrize("choice", CHOICES)
def test_two_processes_prune_alike_and_as_one_does(choice, tmp_path):
    def run(folder, processes):
        folder.mkdir()
        pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), **CHOICES[choice])
        options = {"devices": processes, "strategy": "ddp_fork"} if processes > 1 else {}
        module = toy(plain=True) if choice != "lasso" else structured()
        fit([pruning, Written(folder, pruning)], module, Images(batch=16 // processes), max_epochs=1, **options)
        return [torch.load(folder / f"rank {rank}.pt") for rank in range(processes)]

    first, second = run(tmp_path / "two", 2)
    assert equal(first[0], second[0])
    assert equal(first[1], second[1])
    if choice == "sparse_gpt":
        ((weights, masks),) = run(tmp_path / "one", 1)
        for name, mask in masks.items():
            assert (mask == first[1][name]).float().mean() > 0.98, "but for rounding"
        last = list(masks)[-1]
        torch.testing.assert_close(first[0][last], weights[last], rtol=0.05, atol=0.05)
