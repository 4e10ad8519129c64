"""Records in small networks, sparse files and checkpoints may say sizes, and nothing else. The seals are valid here."""

import pytest
import torch
from safetensors.torch import save
from torch import nn

from lightning_prune import load_small, load_sparse, load_ticket, save_sparse, shrink, shrink_like
from lightning_prune.masks.sealed_file import read_sealed, write_sealed
from lightning_prune.shrinking.small_checkpoints import plain_record


def network():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2))


@pytest.fixture(scope="module")
def small():
    return shrink(network(), alive={"0": torch.tensor([1, 0, 1])}, example=torch.rand(5, 4))


# What an attacker would write into ``attributes``: a place in the network, and a value.
ATTRIBUTES = {
    "a method": ("0", "forward", "x"),
    "the class": ("0", "__class__", "x"),
    "the dictionary": ("0", "__dict__", [1]),
    "a parameter": ("0", "weight", 1),
    "all parameters": ("", "_parameters", 1),
    "hooks": ("0", "_forward_hooks", ["x"]),
    "the mode": ("2", "training", True),
    "the docstring": ("0", "__doc__", "x"),
    "no such attribute": ("0", "width", 1),
    "no such module": ("9", "p", 1),
    "a text for a number": ("2", "p", "x"),
    "a mapping": ("0", "in_features", {"x": 1}),
}
INDICES = {
    "beyond": torch.tensor([0, 3], dtype=torch.int32),
    "negative": torch.tensor([-1, 0], dtype=torch.int32),
    "twice": torch.tensor([1, 1], dtype=torch.int32),
    "no whole numbers": torch.tensor([0.2, 2.0]),
    "complex": torch.tensor([1j, 2]),
    "a matrix": torch.tensor([[0, 2]], dtype=torch.int32),
}


def refused(call, module, said):
    """The call is refused, and the module is what it was."""
    before = {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(ValueError, match=said) as raised:
        call()
    assert type(raised.value).__module__.startswith("lightning_prune")
    assert module.state_dict().keys() == before.keys()
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert module(torch.zeros(1, 4)).shape == (1, 2)


def in_a_file(small, path, change):
    small.save(path)
    found = read_sealed(path, "shrunk", "", "", "")
    change(found.header, found.tensors)
    write_sealed(path, "shrunk", found.header, found.tensors)
    return lambda module: load_small(path, module)


def in_a_checkpoint(small, path, change):
    record = plain_record(small.record)
    kept = {f"kept/{name}/{dim}": one for name, by in record["kept"].items() for dim, one in by.items()}
    change(record, kept)
    for name, by in record["kept"].items():
        record["kept"][name] = {dim: kept[f"kept/{name}/{dim}"] for dim in by}
    callbacks = {"Shrink": {"shrunk": record}}
    path = path.with_suffix(".ckpt")
    torch.save({"state_dict": small.module.state_dict(), "callbacks": callbacks}, path)
    return lambda module: shrink_like(module, path)


FORMS = pytest.mark.parametrize("form", [in_a_file, in_a_checkpoint], ids=["small file", "checkpoint"])


@FORMS
@pytest.mark.parametrize(("place", "name", "value"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_a_record_changes_sizes_and_nothing_else(small, tmp_path, form, place, name, value):
    def change(record, _):
        record["attributes"] = {**record["attributes"], place: {**record["attributes"].get(place, {}), name: value}}

    load, module = form(small, tmp_path / "small.safetensors", change), network()
    refused(lambda: load(module), module, f"this Sequential has no {place}.?{name} as ")
    assert module.training


@FORMS
@pytest.mark.parametrize("indices", INDICES.values(), ids=INDICES)
def test_indices_that_cannot_be_are_refused(small, tmp_path, form, indices):
    def change(_, tensors):
        tensors[next(name for name in tensors if name.startswith("kept/"))] = indices

    load, module = form(small, tmp_path / "small.safetensors", change), network()
    refused(lambda: load(module), module, "is damaged: .*'0.weight' has indices that are no part of its dimension 0")


@pytest.mark.parametrize("shape", [[10**30, 4], [-3, 4], []])
def test_shapes_that_cannot_be_are_refused(small, tmp_path, shape):
    load = in_a_file(small, tmp_path / "a.safetensors", lambda record, _: record["shapes"].update({"0.weight": shape}))
    module = network()
    refused(lambda: load(module), module, "is damaged|is of another network")


def test_what_was_written_is_still_read(small, tmp_path):
    for form in (in_a_file, in_a_checkpoint):
        assert form(small, tmp_path / "a.safetensors", lambda *_: None)(network())[0].out_features == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda header, tensors: header["shapes"].update(weight=[10**30, 4]),
        lambda header, tensors: header["shapes"].update(weight=[2**40, 2**40]),
        lambda header, tensors: header["shapes"].update(weight=[-8, -8]),
        lambda header, tensors: header["same"].update(weight="../../etc/passwd"),
        lambda header, tensors: tensors.update({"values/weight": tensors["values/weight"].to(torch.complex64)}),
        lambda header, tensors: tensors.update({"values/weight": tensors["values/weight"][:2]}),
        lambda header, tensors: tensors.update({"bits/weight": tensors["bits/weight"].float()}),
    ],
    ids=["huge", "overflow", "negative", "a path", "complex", "too few", "no bits"],
)
def test_a_sparse_file_that_cannot_be_is_refused(tmp_path, change):
    module = nn.Linear(64, 32)
    module.weight.data *= torch.rand(32, 64) < 0.1
    path = save_sparse(module, tmp_path / "sparse.safetensors")
    found = read_sealed(path, "sparse", "", "", "")
    change(found.header, found.tensors)
    write_sealed(path, "sparse", found.header, found.tensors)
    before = module.weight.clone()
    with pytest.raises(ValueError, match="is damaged: its header and its tensors disagree"):
        load_sparse(path, module)
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format":1,"shapes":' + "[" * 9_000, "NaN", "1" * 5_000, "\ud800"[:0]]
)
def test_headers_that_cannot_be_are_refused(tmp_path, text):
    path = tmp_path / "a.safetensors"
    path.write_bytes(save({"a": torch.ones(1)}, metadata=dict.fromkeys(("ticket", "shrunk", "sparse"), text)))
    for load in (load_ticket, lambda one: load_small(one, network()), lambda one: load_sparse(one, network())):
        with pytest.raises(ValueError, match="is not a ticket|is no small network|is no sparse file"):
            load(path)
