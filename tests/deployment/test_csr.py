"""Linear layers as sparse matrices compute the same, stay where they gain nothing, and come back by one call."""

import pytest
import torch
from torch import nn

from lightning_prune import layerwise, prune, save_sparse, to_csr
from lightning_prune.deployment import replaced_layers
from lightning_prune.deployment.csr import CsrLinear


def network(dtype=torch.float64, sparsity=0.95):
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(64, 96, bias=False), nn.ReLU(), nn.Linear(96, 40), nn.ReLU(),
        nn.Linear(40, 3),
    ).to(dtype)  # fmt: skip
    prune(made, sparsity, allocation=layerwise)
    return made


def examples(dtype=torch.float64, batch=5):
    return torch.randn(batch, 1, 6, 6, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
@pytest.mark.parametrize("batch", [1, 5])
def test_the_outputs_are_those_of_the_dense_network(dtype, tolerance, batch):
    made, x = network(dtype), examples(dtype, batch)
    expected = made(x)
    changed = to_csr(made, x, only_gains=False)
    assert changed.replaced == ["2", "4", "6"]
    assert all(isinstance(made[place], CsrLinear) for place in (2, 4, 6))
    assert (made(x) - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1)


def test_inputs_of_any_number_of_dimensions_are_taken():
    layer = nn.Linear(8, 4, dtype=torch.float64)
    layer.weight.data *= torch.rand(4, 8) < 0.3
    for shape in ((8,), (3, 8), (2, 3, 8), (0, 8)):
        x = torch.randn(shape, dtype=torch.float64)
        assert CsrLinear(layer)(x).shape == layer(x).shape
        assert torch.allclose(CsrLinear(layer)(x), layer(x), atol=1e-14)


def test_the_former_layers_come_back_with_the_very_same_parameters():
    made, x = network(), examples()
    layers, parameters = list(made), list(made.parameters())
    changed = to_csr(made, x, only_gains=False)
    changed.undo()
    changed.undo()
    assert all(one is other for one, other in zip(made, layers, strict=True))
    assert all(one is other for one, other in zip(made.parameters(), parameters, strict=True))
    assert changed.replaced == []


@pytest.mark.parametrize(("times", "replaced"), [((2.0, 1.0), ["2", "4", "6"]), ((1.0, 1.5), [])])
def test_only_layers_that_gain_are_replaced_and_the_table_says_it(times, replaced, monkeypatch):
    monkeypatch.setattr(replaced_layers, "_fastest", lambda *_: times)
    made, x = network(), examples()
    expected = made(x)
    changed = to_csr(made, x)
    assert changed.replaced == replaced
    assert torch.allclose(made(x), expected, atol=1e-13)
    assert [one.gain for one in changed.layers] == [times[0] / times[1]] * 3
    said = str(changed)
    assert said.count("stays dense: slower with a sparse weight") == 3 - len(replaced)
    assert f"x {times[0] / times[1]:.2f}" in said


def test_layers_that_cannot_be_replaced_are_named_with_the_reason():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense, self.unused = nn.Linear(8, 8), nn.Linear(8, 8)
            self.one, self.other = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
            self.other.weight = self.one.weight
            self.computed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))

        def forward(self, x):
            return self.computed(self.other(self.one(self.dense(x))))

    made = Odd()
    for one in (made.unused, made.one):
        one.weight.data.mul_(torch.eye(8))
    changed = to_csr(made, torch.rand(2, 8), only_gains=False)
    reasons = {one.name: one.kept_dense for one in changed.layers}
    assert changed.replaced == []
    assert reasons["dense"] == "fewer than 50% zeros"
    assert reasons["unused"] == "the example does not call it"
    assert reasons["one"] == reasons["other"] == "its weight is shared with another layer"
    assert reasons["computed"] == "its weight is computed (a parametrization)"


def test_a_layer_that_occurs_twice_is_replaced_in_both_places():
    layer = nn.Linear(8, 8)
    layer.weight.data.mul_(torch.eye(8))
    made = nn.Sequential(layer, nn.ReLU(), layer)
    expected = made(x := torch.rand(3, 8))
    changed = to_csr(made, x, only_gains=False)
    assert made[0] is made[2]
    assert isinstance(made[0], CsrLinear)
    assert torch.allclose(made(x), expected, atol=1e-6)
    changed.undo()
    assert made[0] is made[2] is layer


def test_what_is_no_network_and_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"to_csr\(module=Linear\) replaces layers within a network"):
        to_csr(nn.Linear(2, 2), torch.rand(1, 2))
    made = network()
    to_csr(made, examples(), only_gains=False)
    with pytest.raises(ValueError, match=r"call undo\(\) of what to_csr or to_semi_structured returned"):
        save_sparse(made, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"to_csr\(\.\.\.\) needs an example"):
        to_csr(network())
