"""A small network comes back from its file, and what is damaged or of another network is refused."""

import json
from pathlib import Path

import pytest
import torch
from dead_units import Split, convolutional, fully_connected, half_alive, randomized, residual
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file
from torch import nn

from lightning_prune import load_small, shrink, structures_of
from lightning_prune.lab.networks.resnet import ResNet
from lightning_prune.shrinking.small_file import read_small


def small_file(folder, make=residual):
    network, example = make()
    small = shrink(network, example=example, alive=half_alive(structures_of(network, example)))
    small.save(folder / "small.safetensors")
    return folder / "small.safetensors", small, example


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize("make", [residual, convolutional, fully_connected], ids=lambda make: make.__name__)
def test_a_small_network_comes_back_bit_for_bit(tmp_path, make):
    path, small, example = small_file(tmp_path, make)
    fresh = load_small(path, make()[0])
    state = small.module.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in fresh.state_dict().items())
    assert torch.equal(fresh.eval()(example), small.module.eval()(example))
    assert [str(one) for one in fresh.modules()] == [str(one) for one in small.module.modules()]
    record = read_small(path)[0]
    assert record.shapes == small.record.shapes
    assert record.attributes == small.record.attributes
    assert all(torch.equal(one, record.alive[name]) for name, one in small.record.alive.items())


def test_others_may_read_the_file_as_any_other(tmp_path):
    path, *_ = small_file(tmp_path)
    (tmp_path / "plain.txt").write_text("")
    assert path.stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_nothing_is_traced_or_unpickled_to_load_it(tmp_path, monkeypatch):
    path, _, _ = small_file(tmp_path)
    monkeypatch.setattr("lightning_prune.shrinking.removal.structures_of", None)
    monkeypatch.setattr("torch.load", None)
    monkeypatch.setattr("pickle.load", None)
    monkeypatch.setattr("pickle.loads", None)
    monkeypatch.setattr(ResNet, "forward", None)
    load_small(path, residual()[0])
    assert b"__metadata__" in path.read_bytes()[:32], "a safetensors file begins with JSON"


def test_what_the_file_takes_is_what_the_small_network_takes(tmp_path):
    path, small, _ = small_file(tmp_path)
    weights = sum(one.numel() * one.element_size() for one in small.module.state_dict().values())
    whole = sum(one.numel() * one.element_size() for one in residual()[0].state_dict().values())
    assert weights < path.stat().st_size < weights + 20_000 < whole
    tensors = load_file(path)
    kept = [tuple(one.tolist()) for name, one in tensors.items() if name.startswith("kept/")]
    assert len(kept) == len(set(kept)) < sum(len(by) for by in small.record.kept.values()), (
        "equal indices are kept once"
    )


def test_attributes_of_a_users_block_come_back(tmp_path):
    from test_removal import literal_network

    def resize(block):
        block.half = block.first.out_features

    network, example, found = literal_network()
    small = shrink(network, example=example, alive=half_alive(found), structures=found, resizes={Split: resize})
    small.save(tmp_path / "small.safetensors")
    fresh = load_small(tmp_path / "small.safetensors", literal_network()[0])
    assert fresh.block.half == 4
    assert torch.equal(fresh(example), network(example))


def test_a_masked_group_stays_named(tmp_path):
    from test_removal import literal_network

    network, example, found = literal_network()
    shrink(network, example=example, alive=half_alive(found), structures=found).save(tmp_path / "small.safetensors")
    assert list(read_small(tmp_path / "small.safetensors")[0].masked) == ["block.first"]
    fresh = load_small(tmp_path / "small.safetensors", literal_network()[0])
    assert torch.equal(fresh(example), network(example))


def test_tied_weights_and_other_precisions_come_back(tmp_path):
    def make():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.ReLU(), nn.Linear(6, 8))
        network[4].weight = network[0].weight
        return network

    network = make()
    example = torch.rand(3, 6)
    small = shrink(network, example=example)
    small.save(tmp_path / "all.safetensors")
    fresh = load_small(tmp_path / "all.safetensors", make().double())
    assert fresh[4].weight is fresh[0].weight
    assert fresh[0].weight.dtype == torch.float64
    assert torch.equal(fresh[0].weight.float(), network[0].weight)


def test_a_small_network_becomes_smaller_and_its_file_is_of_the_whole_one(tmp_path):
    network, example = residual()
    shrink(network, example=example, alive=half_alive(structures_of(network, example), 0.25))
    small = shrink(network, example=example, alive=half_alive(structures_of(network, example), 0.5))
    small.save(tmp_path / "small.safetensors")
    fresh = load_small(tmp_path / "small.safetensors", residual()[0])
    assert torch.equal(fresh.eval()(example), network.eval()(example))
    again = shrink(fresh, example=example, alive=half_alive(structures_of(fresh, example), 0.5))
    again.save(tmp_path / "smaller.safetensors")
    smaller = load_small(tmp_path / "smaller.safetensors", residual()[0])
    assert torch.equal(smaller.eval()(example), fresh.eval()(example))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: ResNet(8, channels=1, width=6).double(), r"is of another network than this ResNet: .* is of shape \(6, 1, 3, 3\) here and of shape \(8, 1, 3, 3\) there"),
        (lambda: nn.Linear(3, 2), "is of another network than this Linear: weight is of shape .* here and missing there"),
    ],
    ids=["width", "class"],
)  # fmt: skip
def test_another_network_is_refused_and_stays_as_it_is(tmp_path, other, said):
    path, _, _ = small_file(tmp_path)
    module = other()
    before = {name: one.clone() for name, one in module.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        load_small(path, module)
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())


def test_the_class_of_a_network_is_refused(tmp_path):
    path, _, _ = small_file(tmp_path)
    with pytest.raises(ValueError, match=r"was given the class ResNet: give a whole network, ResNet\(...\)"):
        load_small(path, ResNet)


def test_a_network_that_is_small_already_is_refused(tmp_path):
    path, small, _ = small_file(tmp_path)
    with pytest.raises(ValueError, match="is of another network than this ResNet: .* Give a whole network"):
        load_small(path, small.module)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file: give the file of a network"):
        load_small(tmp_path / "missing.safetensors", nn.Linear(1, 1))
    with pytest.raises(ValueError, match="is a folder: give the file of a network"):
        load_small(tmp_path, nn.Linear(1, 1))
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors")
    torch.save({"weight": torch.ones(2)}, tmp_path / "pickled.safetensors")
    for name in ("text", "foreign", "pickled"):
        with pytest.raises(ValueError, match="is no small network: give a file that shrink"):
            load_small(tmp_path / f"{name}.safetensors", nn.Linear(1, 1))


def test_a_changed_byte_is_found(tmp_path):
    path, _, _ = small_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="is damaged: its content has changed since it was written"):
        load_small(path, residual()[0])
    path.write_bytes(bytes(content[:-50]))
    with pytest.raises(ValueError, match="is no small network"):
        load_small(path, residual()[0])


def forged(path, change):
    """A file with a valid checksum, whose record says something else."""
    from lightning_prune.masks.sealed_file import checksum

    header, tensors = json.loads(header_of(path)["shrunk"]), load(path.read_bytes())
    change(header, tensors)
    text = json.dumps(header)
    save_file(tensors, path, metadata={"shrunk": text, "checksum": checksum(text, tensors)})
    return path


def beyond(header, tensors):
    first = next(name for name in tensors if name.startswith("kept/"))
    tensors[first][-1] = 10_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header, tensors: header.pop("kept"), "is damaged: in its header 'kept' is missing"),
        (lambda header, tensors: header.update(shapes=[1]), "is damaged: in its header 'shapes' is a list"),
        (lambda header, tensors: header.update(format=9), "has format 9, and lightning_prune .* reads 1. A newer version"),
        (lambda header, tensors: tensors.pop("kept/0"), "is damaged: its record names 'kept/0', which is not there"),
        (lambda header, tensors: tensors.pop(next(name for name in tensors if name.startswith("weights/"))), "its weights and its record disagree"),
        (beyond, "is damaged: in its record .* has indices that are no part of its dimension"),
        (lambda header, tensors: header["attributes"].update(nowhere={"width": 3}), "is of another network: this ResNet has no nowhere.width"),
    ],
    ids=["no kept", "shapes", "format", "indices", "weights", "beyond", "attributes"],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused(tmp_path, change, said):
    path = forged(small_file(tmp_path)[0], change)
    network = residual()[0]
    before = {name: one.clone() for name, one in network.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        load_small(path, network)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def test_a_state_that_is_no_tensor_is_not_saved_in_silence(tmp_path):
    class Counting(nn.Linear):
        def get_extra_state(self):
            return {"calls": 3}

        def set_extra_state(self, state):
            pass

    network = nn.Sequential(Counting(4, 3), nn.ReLU(), nn.Linear(3, 2))
    small = shrink(network, example=torch.rand(2, 4), alive={"0": torch.tensor([1, 0, 1])})
    with pytest.raises(ValueError, match="keeps tensors only, and 0._extra_state of Sequential is a dict"):
        small.save(tmp_path / "small.safetensors")
    assert not list(Path(tmp_path).iterdir())


def test_a_network_that_has_changed_since_is_not_saved(tmp_path):
    _, small, _ = small_file(tmp_path, fully_connected)
    last = [one for one in small.module.modules() if isinstance(one, nn.Linear)][-1]
    last.weight = nn.Parameter(torch.zeros(3, last.in_features))
    with pytest.raises(ValueError, match="is of another network than this LeNet300100"):
        small.save(tmp_path / "changed.safetensors")


def test_a_compiled_network_is_shrunk_and_loaded_by_its_plain_names(tmp_path):
    network, example = fully_connected()
    plain = [name for name, _ in network.named_parameters()]
    alive = half_alive(structures_of(network, example))
    network.compile(backend="eager")
    small = shrink(network, example=example, alive=alive)
    small.save(tmp_path / "small.safetensors")
    assert {*plain} == read_small(tmp_path / "small.safetensors")[1].keys()
    assert torch.equal(load_small(tmp_path / "small.safetensors", fully_connected()[0])(example), network(example))


def test_checkpoints_of_the_whole_network_are_loaded_if_they_are_zero_where_it_has_nothing():
    network, example = residual()
    whole, found = randomized(residual()[0], seed=1), structures_of(network, example)
    alive = half_alive(found)
    shrink(network, example=example, alive=alive)
    with pytest.raises(
        ValueError, match="This ResNet is small, and the state is of the whole network before these units died"
    ):
        network.load_state_dict(whole.state_dict())
    shrink(whole_copy := residual()[0], example=example, alive=alive)
    from lightning_prune.shrinking.slices import mask_, tensors_of

    mask_(tensors_of(whole), found.groups.values(), alive)
    network.load_state_dict(whole.state_dict())
    assert (network.eval()(example) - whole.eval()(example)).abs().max() <= 1e-12
    network.load_state_dict(whole_copy.state_dict())
    assert torch.equal(network(example), whole_copy.eval()(example)), "its own state, as ever"
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.load_state_dict(ResNet(8, channels=1, width=6).double().state_dict())
