"""Which layers get sparse kernels of a GPU, that they come back, and what a CPU is told. The kernels need a GPU."""

import pytest
import torch
from torch import nn
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass,
    sparse_semi_structured_to_dense_cutlass,
)

from lightning_prune import NofM, Prunable, prune, to_semi_structured
from lightning_prune.deployment import replaced_layers, semi_structured

CUDA = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)


def network(dtype=torch.bfloat16):
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)).to(dtype)
    prune(made, 0.5, granularity=NofM(2, 4), prunable=Prunable(last_layer=False))
    return made


@pytest.fixture
def packed_on_the_cpu(monkeypatch):
    """In the place of torch's tensor the weight that CUTLASS packs and unpacks, which needs no GPU."""

    def there_and_back(weight):
        return sparse_semi_structured_to_dense_cutlass(*sparse_semi_structured_from_dense_cutlass(weight))

    monkeypatch.setattr(semi_structured, "refuse_device", lambda _: None)
    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", there_and_back)


def test_a_cpu_is_refused():
    with pytest.raises(ValueError, match=r"needs an NVIDIA GPU, and the network is on cpu: move it there in half"):
        to_semi_structured(network(), torch.rand(4, 64))


def test_layers_with_the_pattern_compute_with_packed_weights_and_come_back(packed_on_the_cpu):
    made, x = network(), torch.rand(4, 64, dtype=torch.bfloat16)
    expected, parameters = made(x), list(made.parameters())
    changed = to_semi_structured(made, x, only_gains=False)
    assert changed.replaced == ["0", "2"]
    assert torch.equal(made(x), expected)
    assert not any(one is made[0].weight for one in parameters)
    assert "stays dense: more than two of four weights live somewhere" in str(changed)
    changed.undo()
    assert all(one is other for one, other in zip(made.parameters(), parameters, strict=True))


def test_layers_that_gain_nothing_stay_dense(packed_on_the_cpu, monkeypatch):
    monkeypatch.setattr(replaced_layers, "_fastest", lambda dense, *_: (1.0, 2.0))
    made = network()
    changed = to_semi_structured(made, torch.rand(4, 64, dtype=torch.bfloat16))
    assert changed.replaced == []
    assert [one.gain for one in changed.layers] == [0.5, 0.5, None]


def test_a_weight_that_would_be_packed_wrongly_is_never_taken(packed_on_the_cpu, monkeypatch):
    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", lambda weight: weight * 1.5)
    changed = to_semi_structured(network(), torch.rand(4, 64, dtype=torch.bfloat16), only_gains=False)
    assert changed.replaced == []
    assert "its output differs by" in str(changed)


def test_what_torch_refuses_and_other_precisions_stay_dense_with_the_reason(packed_on_the_cpu, monkeypatch):
    changed = to_semi_structured(network(torch.float32), torch.rand(4, 64), only_gains=False)
    assert changed.layers[0].kept_dense == "float32: call module.half() or module.bfloat16() first"

    def refuse(weight):
        raise RuntimeError("both dimensions must be larger\nmore")

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", refuse)
    changed = to_semi_structured(network(), torch.rand(4, 64, dtype=torch.bfloat16), only_gains=False)
    assert changed.layers[0].kept_dense == "torch cannot pack it: both dimensions must be larger"


@pytest.mark.skipif(not CUDA, reason="needs a GPU of compute capability 8.0 or later")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_gpu_computes_the_same_with_packed_weights(dtype):
    made, x = network(dtype).cuda(), torch.rand(256, 64, dtype=dtype, device="cuda")
    expected = made(x)
    changed = to_semi_structured(made, x, only_gains=False)
    assert changed.replaced == ["0", "2"]
    assert torch.allclose(made(x), expected, rtol=2e-2, atol=2e-2)
    changed.undo()
    assert torch.equal(made(x), expected)
