"""A sparse file gives back the network bit for bit, takes the bytes that it promises, and is read without this package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file
from torch import nn

import lightning_prune
from lightning_prune import load_sparse, prune, save_sparse
from lightning_prune.lab.networks.resnet import ResNet

PAGE = (Path(lightning_prune.__file__).parents[1] / "docs" / "deployment" / "zeros.md").read_text()
LOADER = next(one for one in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "def load_sparse" in one)


def pruned(sparsity=0.9, make=lambda: ResNet(depth=8)):
    torch.manual_seed(0)
    network = make()
    prune(network, sparsity=sparsity)
    return network


def bits(state):
    return {name: one.contiguous().flatten().view(torch.uint8).tolist() for name, one in state.items()}


def from_the_page(path, module):
    names = {}
    exec(LOADER, names)
    names["load_sparse"](path, module)
    return module


@pytest.mark.parametrize("load", [load_sparse, from_the_page])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_a_network_comes_back_bit_for_bit(tmp_path, load, sparsity):
    network = pruned(sparsity) if sparsity else ResNet(depth=8)
    file = save_sparse(network, tmp_path / "a.safetensors")
    assert bits(load(file, ResNet(depth=8)).state_dict()) == bits(network.state_dict())


def odd_network():
    """Tied weights, a parameter and buffers of other types, a size that is no multiple of 8, numbers that are none."""
    network = nn.Module()
    network.first, network.second = nn.Linear(13, 7), nn.Linear(13, 7, bias=False)
    network.second.weight = network.first.weight
    network.picture = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    network.wide = nn.Parameter(torch.zeros(9, dtype=torch.float64))
    network.narrow = nn.Parameter(torch.zeros(5, 5, dtype=torch.bfloat16))
    network.phases = nn.Parameter(torch.zeros(4, dtype=torch.complex64))
    network.nothing = nn.Parameter(torch.zeros(0, 3))
    network.register_buffer("steps", torch.tensor(3))
    network.register_buffer("none", torch.zeros(4, 2, dtype=torch.bool))
    return network


@pytest.mark.parametrize("load", [load_sparse, from_the_page])
def test_odd_tensors_come_back(tmp_path, load):
    network = odd_network()
    with torch.no_grad():
        for one in (network.first.weight, network.picture.weight):
            one.mul_(torch.rand_like(one) < 0.3)
            one.add_(0.0)  # no zero with a sign
        network.first.weight[0, :3] = torch.tensor([float("nan"), float("-inf"), 1e-45])
        network.wide[4], network.narrow[2, 3] = torch.pi, -1e-40
    fresh = load(save_sparse(network, tmp_path / "a.safetensors"), odd_network())
    assert bits(fresh.state_dict()) == bits(network.state_dict())
    assert fresh.first.weight is fresh.second.weight
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert not [name for name in file.keys() if "second" in name], "tied weights are written once"  # noqa: SIM118
    assert fresh.picture.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_zero_with_a_sign_is_dead(tmp_path):
    network = nn.Linear(100, 1, bias=False)
    network.weight.data.fill_(-0.0)[0, 3] = 5.0
    fresh = load_sparse(save_sparse(network, tmp_path / "a.safetensors"), nn.Linear(100, 1, bias=False))
    assert torch.equal(fresh.weight, network.weight)
    assert load_file(tmp_path / "a.safetensors")["values/weight"].tolist() == [5.0]


def test_a_file_at_ninety_percent_has_at_most_a_seventh_of_the_size(tmp_path):
    network = pruned(make=lambda: ResNet(depth=20, width=32))
    save_file(network.state_dict(), tmp_path / "dense.safetensors")
    dense = (tmp_path / "dense.safetensors").stat().st_size
    sparse = save_sparse(network, tmp_path / "sparse.safetensors").stat().st_size
    half = save_sparse(network, tmp_path / "half.safetensors", half_values=True).stat().st_size
    assert dense / sparse >= 6.9  # a network of 1 M weights has names and norms beside its weights
    weights = {name: one for name, one in network.state_dict().items() if one.dim() == 4}
    tensors = load_file(tmp_path / "sparse.safetensors")
    packed = sum(one.nbytes for name, one in tensors.items() if name.partition("/")[2] in weights)
    assert sum(one.nbytes for one in weights.values()) / packed >= 7.4
    assert dense / half > 11


def test_half_values_are_rounded_and_buffers_are_not(tmp_path):
    network = pruned()
    network.stem[1].running_mean.fill_(1e6 + 1 / 3)
    file = save_sparse(network, tmp_path / "a.safetensors", half_values=True)
    for load in (load_sparse, from_the_page):
        fresh = load(file, ResNet(depth=8))
        assert all(torch.equal(one, dict(network.named_buffers())[name]) for name, one in fresh.named_buffers())
        for name, one in fresh.named_parameters():
            assert one.dtype == torch.float32
            assert torch.equal(one, dict(network.named_parameters())[name].half().float())


def test_a_weight_beyond_half_precision_is_refused(tmp_path):
    network = nn.Linear(3, 3)
    network.weight.data[1, 1] = 7e4
    with pytest.raises(ValueError, match=r"weight has 7e\+04, and float16 ends at 65504. Write it with half_values=F"):
        save_sparse(network, tmp_path / "a.safetensors", half_values=True)
    assert not list(tmp_path.iterdir())


def test_another_network_is_refused_and_not_changed(tmp_path):
    file = save_sparse(nn.Linear(3, 2), tmp_path / "a.safetensors")
    other = nn.Linear(4, 2)
    before = bits(other.state_dict())
    with pytest.raises(ValueError, match=r"another network than this Linear: weight is missing or of another shape"):
        load_sparse(file, other)
    with pytest.raises(ValueError, match=r"another network than this Linear: bias"):
        load_sparse(file, nn.Linear(3, 2, bias=False))
    assert bits(other.state_dict()) == before


def rewritten(path, change):
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    tensors = load_bytes(path.read_bytes())  # a copy: those of load_file would change with the file
    change(metadata, tensors)
    save_file(tensors, path, metadata)


def reseal(metadata, tensors):
    from lightning_prune.masks.sealed_file import checksum

    metadata["checksum"] = checksum(metadata["sparse"], tensors)


DAMAGES = {
    "a changed value": lambda metadata, tensors: tensors["values/weight"].add_(1),
    "a missing tensor": lambda metadata, tensors: (tensors.pop("values/weight"), reseal(metadata, tensors)),
    "too few values": lambda metadata, tensors: (
        tensors.update({"values/weight": torch.ones(2)}),
        reseal(metadata, tensors),
    ),
    "another shape": lambda metadata, tensors: (
        metadata.update(sparse=metadata["sparse"].replace("[10, 20]", "[10, 40]")),
        reseal(metadata, tensors),
    ),
    "no shapes": lambda metadata, tensors: (
        metadata.update(sparse=metadata["sparse"].replace("shapes", "sizes")),
        reseal(metadata, tensors),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damaged_file_is_refused(tmp_path, damage):
    file = save_sparse(pruned(make=lambda: nn.Linear(20, 10)), tmp_path / "a.safetensors")
    load_sparse(file, nn.Linear(20, 10))
    rewritten(file, DAMAGES[damage])
    with pytest.raises(ValueError, match=r"load_sparse\('.*'\) is damaged"):
        load_sparse(file, nn.Linear(20, 10))


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        load_sparse(tmp_path / "a.safetensors", nn.Linear(2, 2))
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="is no sparse file"):
        load_sparse(tmp_path / "a.safetensors", nn.Linear(2, 2))


def test_the_loader_of_the_page_needs_ten_lines_and_not_this_package(tmp_path):
    body = LOADER.split("def load_sparse")[1].splitlines()
    assert len([line for line in body[1:] if line.strip()]) <= 10
    network = pruned(make=lambda: nn.Linear(20, 10))
    save_sparse(network, tmp_path / "a.safetensors")
    script = (
        f"{LOADER}\nimport sys\nnetwork = torch.nn.Linear(20, 10)\nload_sparse('a.safetensors', network)\n"
        "assert 'lightning_prune' not in sys.modules\nprint(network.weight.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(network.weight.tolist())
