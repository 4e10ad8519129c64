"""How much of a network is pruned: said where much is left dense only because nobody named its layers."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from zoo import Regressor, perceptron, vectors

from lightning_prune import IterativePruning, Prunable, magnitude
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.criteria.filters import Filters
from lightning_prune.selection.coverage import told_of
from lightning_prune.selection.layer_types import outputs_of


class Linear(nn.Module):
    """A library's own linear layer."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))

    def forward(self, x):
        return x @ self.weight.T


def graph():
    """As in graph networks: the layers are the library's, the head is torch's."""
    return nn.Sequential(Linear(8, 12), nn.Tanh(), nn.Linear(12, 4))


def fit(network, **pruning):
    from toys import make_trainer

    clock = IterativePruning(cycles=1, retrain="1it", **pruning)
    trainer = make_trainer([clock], max_epochs=None, max_steps=1, limit_val_batches=0)
    trainer.fit(Regressor(network), vectors())
    return clock


def test_a_network_that_is_mostly_left_dense_is_told_with_the_argument_that_prunes_it():
    message = (
        rf"prunes 48 of the 144 numbers.*nobody named are: {__name__}.Linear \(96\).*"
        rf"Prunable\(types=\(torch.nn.Linear, {__name__}.Linear,\)\).*Prunable\(exclude=\[...\]\)"
    )
    with pytest.warns(UserWarning, match=message):
        fit(graph())
    assert set(fit(graph(), prunable=Prunable(types=(nn.Linear, Linear)))._run.pruner.weights) == {
        "network.0.weight",
        "network.2.weight",
    }


@pytest.mark.parametrize("prunable", [Prunable(exclude=["0"]), Prunable(include=["2"]), Prunable(types=(nn.Linear,))])
def test_who_names_what_stays_dense_is_told_nothing(prunable):
    assert told_of(graph(), prunable(graph())) is None


def test_what_is_small_frozen_or_an_embedding_is_no_reason_to_tell():
    small = nn.Sequential(Linear(8, 2), nn.Linear(8, 8))
    frozen = nn.Sequential(Linear(8, 12).requires_grad_(False), nn.Linear(12, 4))
    words = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 8))
    for network in (small, frozen, words, perceptron()):
        assert told_of(network, Prunable()(network)) is None


def test_layers_that_compute_their_weights_are_told_with_what_makes_them_plain():
    network = nn.Sequential(weight_norm(nn.Linear(8, 12)), nn.Linear(12, 4))
    told = told_of(network, Prunable()(network))
    assert "layers that compute their weights (parametrizations) (108)" in told
    assert "Remove the parametrization" in told
    assert "types=" not in told


def test_reasons_name_classes_by_their_path():
    reasons = {one.name: one.reason for one in Prunable()(graph()).skipped}
    assert reasons["0.weight"] == f"a parameter of a {__name__}.Linear, which is not among the types"


class Conv1D(nn.Module):
    """What is known of transformers' is known by the path of the class."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 4))

    def forward(self, x):
        return x @ self.weight


def test_known_layers_of_others_are_selected_without_importing_them(monkeypatch):
    assert outputs_of(Conv1D()) is None
    monkeypatch.setattr(Conv1D, "__module__", "transformers.pytorch_utils")
    assert outputs_of(Conv1D()) == 1
    assert list(Prunable()(Conv1D()).weights) == ["weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told_of(Conv1D(), Prunable()(Conv1D())) is None


def test_stacked_experts_are_selected_if_they_say_how_they_lie(monkeypatch):
    class TinyExperts(nn.Module):
        def __init__(self, **says):
            super().__init__()
            self.down_proj = nn.Parameter(torch.randn(2, 3, 4))
            self.down_proj_bias = nn.Parameter(torch.randn(2, 3))
            vars(self).update(says)

    monkeypatch.setattr(TinyExperts, "__module__", "transformers.models.tiny")
    assert [outputs_of(TinyExperts(is_transposed=one)) for one in (False, True)] == [1, 2]
    assert list(Prunable()(TinyExperts(is_transposed=False)).weights) == ["down_proj"]
    with pytest.raises(ValueError, match="nothing to prune: down_proj .a parameter of a transformers.models.tiny"):
        Prunable()(TinyExperts())


@pytest.mark.parametrize(
    "pruning", [{"criterion": Filters(magnitude)}, {"allocation": WholeFilters()}], ids=["criterion", "allocation"]
)
def test_whole_filters_of_a_transposed_matrix_are_refused(pruning, monkeypatch):
    monkeypatch.setattr(Conv1D, "__module__", "transformers.pytorch_utils")
    message = r"whole filters of network.weight: .*transformers.pytorch_utils.Conv1D lie along dimension 1.*exclude="
    with pytest.raises(ValueError, match=message):
        fit(Conv1D(), **pruning)
