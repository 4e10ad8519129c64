"""Weights that are computed from others, made late, or stored in other ways than as a matrix of floats."""

import pytest
import torch
from computed_weights import Spectrum
from promises import keeps_its_promises, run
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from zoo import Regressor, perceptron, vectors

from lightning_prune import LRRewind, Prunable


class Symmetric(nn.Module):
    """A user's own parametrization, with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 12)

    def forward(self, x):
        return x * self.scale(torch.ones(1, 1)).T


PARAMETRIZATIONS = {
    "weight_norm": (parametrizations.weight_norm, "under a parametrization (WeightNorm); torch.nn.utils.parametrize."),
    "spectral_norm": (parametrizations.spectral_norm, "under a parametrization (SpectralNorm); torch.nn.utils."),
    "orthogonal": (parametrizations.orthogonal, "under a parametrization (Orthogonal); torch.nn.utils.parametrize."),
    "own": (
        lambda layer: parametrize.register_parametrization(layer, "weight", Symmetric()),
        "under a parametrization (Symmetric); torch.nn.utils.parametrize.remove_parametrizations makes it plain",
    ),
    "old weight_norm": (
        nn.utils.weight_norm,
        "under torch.nn.utils.weight_norm; torch.nn.utils.remove_weight_norm makes it plain",
    ),
    "old spectral_norm": (
        nn.utils.spectral_norm,
        "under torch.nn.utils.spectral_norm; torch.nn.utils.remove_spectral_norm makes it plain",
    ),
    "prune": (
        lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
        "under torch.nn.utils.prune; torch.nn.utils.prune.remove makes it plain",
    ),
}
every_parametrization = pytest.mark.parametrize(
    ("parametrization", "reason"), PARAMETRIZATIONS.values(), ids=PARAMETRIZATIONS
)
# torch's own way with weight_norm, which the old form of it points to
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.nn.utils.weight_norm.* is deprecated:FutureWarning")


def with_first(parametrization):
    network = perceptron()
    parametrization(network[0])
    return network


@every_parametrization
@pytest.mark.filterwarnings("ignore:IterativePruning prunes 48 of the 1.. numbers")
def test_a_layer_that_computes_its_weight_stays_dense_and_the_reason_names_what_computes_it(
    parametrization, reason, tmp_path
):
    module = keeps_its_promises(
        lambda: Regressor(with_first(parametrization)), vectors(), ["network.2.weight"], tmp_path, resumes=True
    )
    if "prune" not in reason:
        assert module.network[0].weight.count_nonzero() == 96
    skipped = {one.name: one.reason for one in Prunable()(module).skipped}
    parts = {name for name, _ in module.network[0].named_parameters(prefix="network.0") if not name.endswith("0.bias")}
    assert parts
    assert all(skipped[name].startswith(reason) for name in parts)


@every_parametrization
def test_a_network_of_such_layers_is_refused_by_their_name(parametrization, reason):
    network = nn.Sequential(nn.Linear(8, 12), nn.ReLU())
    parametrization(network[0])
    with pytest.raises(ValueError, match=r"Regressor has nothing to prune: .*IterativePruning\(prunable=") as refused:
        run(lambda: Regressor(network), vectors(), [LRRewind()], Prunable())
    assert reason in str(refused.value)


def test_what_makes_a_weight_plain_makes_it_prunable(tmp_path):
    def make():
        network = perceptron()
        parametrizations.weight_norm(network[0])
        parametrize.remove_parametrizations(network[0], "weight")
        prune.l1_unstructured(network[2], "weight", 0.3)
        prune.remove(network[2], "weight")
        return Regressor(network)

    keeps_its_promises(make, vectors(), ["network.0.weight", "network.2.weight"], tmp_path)


@pytest.mark.parametrize("prunable", [Prunable(), Prunable(exclude=["network.0"])])
def test_a_layer_that_is_not_initialized_when_the_fit_starts_is_refused(prunable):
    module = Regressor(nn.Sequential(nn.LazyLinear(12), nn.Tanh(), nn.Linear(12, 4)))
    message = (
        "Regressor has lazy layers that are not initialized: network.0.weight, network.0.bias. Run one batch through "
        "it before the fit, or at the end of its configure_model."
    )
    with pytest.raises(ValueError, match=message):
        run(lambda: module, vectors(), [LRRewind()], prunable)


def test_complex_weights_are_pruned_by_their_absolute_value(tmp_path):
    names = [f"network.{layer}.weight" for layer in ("first", "inner", "last")]
    module = keeps_its_promises(lambda: Regressor(Spectrum()), vectors(), names, tmp_path, resumes=True)
    assert module.network.inner.weight.is_complex()
    assert not module.network.inner.weight.all()


def stored(change):
    network = nn.Sequential(nn.Linear(8, 8), *perceptron())
    weight = change(network[0].weight.detach())
    network[0].weight = nn.Parameter(weight, requires_grad=weight.is_floating_point())
    return network


STORAGES = {
    "integers": (lambda weight: weight.to(torch.int8), "stored as torch.int8, in which nothing is trained"),
    "eight bits": (lambda w: w.to(torch.float8_e4m3fn), "stored as torch.float8_e4m3fn, in which nothing is trained"),
    "coordinates": (lambda weight: weight.to_sparse(), "stored as torch.sparse_coo; to_dense() makes it prunable"),
    "nothing": (lambda weight: weight[:, :0], "empty"),
}


class Around(Regressor):
    """Does not use the first layer."""

    def forward(self, x):
        return self.network[1:](x)


@pytest.mark.parametrize(("change", "reason"), STORAGES.values(), ids=STORAGES)
def test_a_weight_that_is_stored_in_another_way_is_left_alone(change, reason):
    names = ["network.1.weight", "network.3.weight"]
    trainer = run(lambda: Around(stored(change)), vectors(), [LRRewind()], Prunable())
    selected = Prunable()(trainer.lightning_module)
    assert list(selected.weights) == names
    assert {one.name: one.reason for one in selected.skipped}["network.0.weight"] == reason
    alive = sum(int(selected.weights[name].count_nonzero()) for name in names)
    assert alive == round(0.64 * 144)
