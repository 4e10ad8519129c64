"""Files that are not what was written: each is refused by an error that names it, what is wrong and what to do."""

import copy
import json
import random

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load, save_file
from toys import equal, fit, toy

from lightning_prune import IterativePruning, WeightRewind, load_ticket, save_ticket
from lightning_prune.basics.saved_state import find_mistake


def whole_run():
    return [IterativePruning(cycles=1), WeightRewind(to="1ep")]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The last checkpoints of a dense run and of a pruned one."""
    folder = tmp_path_factory.mktemp("saved")
    fit([IterativePruning(cycles=0), WeightRewind(to="1ep")], toy(), max_epochs=2).save_checkpoint(
        folder / "dense.ckpt"
    )
    fit(whole_run(), toy(), max_epochs=2).save_checkpoint(folder / "pruned.ckpt")
    return {name: torch.load(folder / f"{name}.ckpt", weights_only=True) for name in ("dense", "pruned")}


OURS = ("IterativePruning", "WeightRewind", "LRRewind", "ExactResume")


def places(value, path=(), depth=5):
    """Every place of a checkpoint that this package reads."""
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            if path == ("callbacks",) and name not in OURS:
                continue
            if path and path[0] in ("state_dict", "optimizer_states", "lr_schedulers", "hparams_name"):
                continue
            yield (*path, name)
            yield from places(inner, (*path, name), depth - 1)


def mangled(checkpoint, path, value):
    """A copy with one place deleted (``...``) or given another value."""
    other = copy.deepcopy(checkpoint)
    place = other
    for name in path[:-1]:
        place = place[name]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return other


def mangles(checkpoint):
    for path in places(checkpoint):
        for value in (..., None, "x", []):
            yield path, value


def error_of(use):
    try:
        use()
    except ValueError as error:
        return str(error)
    return None


def refused_or_harmless(use, path, said):
    """Whether it was refused; then the error has to name the file and say more than that."""
    error = error_of(use)
    if error is None or "was made with other settings" in error:  # a setting that was mangled is another one
        return error is not None
    assert str(path) in error, f"{said}: {error} does not name the file"
    assert len(error) > len(str(path)) + 50, f"{said}: {error} does not say what to do"
    return True


@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("way", ["dense_run", "save_ticket"])
def test_a_checkpoint_with_a_part_missing_or_of_another_type_is_refused_by_name(way, share, saved, tmp_path):
    path, refused, tried = tmp_path / "mangled.ckpt", 0, 0
    uses = {
        "dense_run": lambda: IterativePruning(cycles=1, dense_run=path),
        "save_ticket": lambda: save_ticket(tmp_path / "ticket.safetensors", path),
    }
    checkpoint = saved["dense" if way == "dense_run" else "pruned"]
    for place, value in random.Random(0).sample(all_of := list(mangles(checkpoint)), len(all_of) // share):
        torch.save(mangled(checkpoint, place, value), path)
        refused += refused_or_harmless(uses[way], path, f"{place} = {value}")
        tried += 1
    assert tried >= 300 // share
    assert refused > tried / 4


NEEDED = [
    ("pytorch-lightning_version",), ("state_dict",), ("callbacks",), ("loops",), ("loops", "fit_loop"),
    *(("callbacks", "IterativePruning", name) for name in ("format", "position", "masks", "cycles")),
    ("callbacks", "IterativePruning", "position", "step"), ("callbacks", "IterativePruning", "settings", "dense"),
    ("callbacks", "IterativePruning", "position", "cycle", "index"), ("callbacks", "WeightRewind", "snapshot"),
    ("callbacks", "LRRewind", "tape"), ("callbacks", "LRRewind", "tape", "rates"),
    ("callbacks", "ExactResume", "generators"),
]  # fmt: skip


class Untrained(Callback):
    def on_train_batch_end(self, *_):
        raise AssertionError("a batch was trained before the error")


def resume(path):
    return fit([*whole_run(), Untrained()], toy(), ckpt_path=path, max_epochs=2)


@pytest.mark.parametrize("value", [..., "x"], ids=["missing", "text"])
def test_what_a_resumption_needs_is_looked_at_before_it_is_used(value, saved, tmp_path):
    path = tmp_path / "mangled.ckpt"
    for place in NEEDED:
        torch.save(mangled(saved["pruned"], place, value), path)
        assert refused_or_harmless(lambda: resume(path), path, place), f"{place} was taken"


@pytest.mark.parametrize("name", ["trained", "stops", "evidence"])
def test_a_part_that_earlier_versions_lack_may_be_missing_but_not_empty(name, saved, tmp_path):
    path = tmp_path / "mangled.ckpt"
    torch.save(mangled(saved["pruned"], ("callbacks", "IterativePruning", name), None), path)
    assert refused_or_harmless(lambda: resume(path), path, name), f"{name} was taken"
    torch.save(mangled(saved["pruned"], ("callbacks", "IterativePruning", name), ...), path)
    fit(whole_run(), toy(), ckpt_path=path, max_epochs=2)


def test_a_dense_run_without_its_settings_is_refused(saved, tmp_path):
    path = tmp_path / "mangled.ckpt"
    torch.save(mangled(saved["dense"], ("callbacks", "IterativePruning", "settings"), None), path)
    assert refused_or_harmless(lambda: IterativePruning(cycles=1, dense_run=path), path, "settings")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what is harmless may be a line that Lightning points out
def test_no_mangled_checkpoint_gives_a_raw_error_where_a_fit_resumes(saved, tmp_path):
    path = tmp_path / "mangled.ckpt"
    for place, value in mangles(saved["pruned"]):
        torch.save(mangled(saved["pruned"], place, value), path)
        refused_or_harmless(lambda: fit(whole_run(), toy(), ckpt_path=path, max_epochs=2), path, f"{place} = {value}")


class Foreign:
    pass


FILES = {
    "text": (b"no checkpoint", "no file that torch.save wrote"),
    "a list": ([1, 2], "holds a list|it is a list"),
    "weights": ({"a": torch.ones(2)}, "no Lightning checkpoint|no checkpoint of a Trainer|holds no masks"),
    "an object": (
        {"state_dict": {}, "x": Foreign()},
        "it holds .*Foreign, which is neither a tensor nor a plain value",
    ),
}
WAYS = {
    "ckpt_path": lambda path, out: fit(whole_run(), toy(), ckpt_path=path, weights_only=True, max_epochs=2),
    "dense_run": lambda path, out: IterativePruning(cycles=1, dense_run=path),
    "save_ticket": lambda path, out: save_ticket(out, path),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_checkpoint_is_refused_without_the_advice_to_run_what_is_in_it(
    way, content, message, tmp_path
):
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=f"(?s)foreign.ckpt.*({message})") as raised:
        way(path, tmp_path / "ticket.safetensors")
    assert "weights_only=False" not in str(raised.value)


@pytest.mark.parametrize("way", ["dense_run", "save_ticket"])
def test_a_folder_and_a_missing_file_are_said_to_be_that(way, tmp_path):
    with pytest.raises(ValueError, match="it is a folder: give the file in it"):
        WAYS[way](tmp_path, tmp_path / "ticket")
    with pytest.raises(ValueError, match="there is no such file"):
        save_ticket(tmp_path / "ticket", tmp_path / "gone.ckpt")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_checkpoint_of_a_newer_format_is_refused_with_what_to_do(way, saved, tmp_path):
    for name, state in saved.items():
        torch.save(mangled(state, ("callbacks", "IterativePruning", "format"), 99), tmp_path / f"{name}.ckpt")
    path = tmp_path / ("dense.ckpt" if way is WAYS["dense_run"] else "pruned.ckpt")
    with pytest.raises(
        ValueError, match=r"has format 99, and lightning_prune .* reads 1. A newer version wrote it: install"
    ):
        way(path, tmp_path / "ticket")


@pytest.mark.parametrize("way", ["dense_run", "save_ticket"])
def test_whatever_single_bit_of_a_checkpoint_changes_it_is_refused_or_means_the_same(way, saved, tmp_path):
    path, draw, refused = tmp_path / "changed.ckpt", random.Random(0), 0
    torch.save(saved["dense" if way == "dense_run" else "pruned"], path)
    content = path.read_bytes()
    save_ticket(tmp_path / "whole", path) if way == "save_ticket" else None
    for _ in range(100):
        at = draw.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        if error := error_of(lambda: WAYS[way](path, tmp_path / "made")):
            assert "the file is damaged" in error
            refused += 1
        else:
            changed = torch.load(path, weights_only=True)
            assert equal(changed, saved["dense" if way == "dense_run" else "pruned"]), at
    assert refused > 50


@pytest.fixture
def ticket(saved, tmp_path):
    torch.save(saved["pruned"], tmp_path / "pruned.ckpt")
    save_ticket(tmp_path / "ticket.safetensors", tmp_path / "pruned.ckpt")
    return tmp_path / "ticket.safetensors"


def test_whatever_single_bit_of_a_ticket_changes_it_is_refused_or_means_the_same(ticket):
    whole, content, draw, refused = load_ticket(ticket), ticket.read_bytes(), random.Random(0), 0
    for _ in range(300):
        at = draw.randrange(len(content))
        ticket.write_bytes(content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :])
        if refused_or_harmless(lambda: load_ticket(ticket), ticket, at):
            refused += 1
        else:
            found = load_ticket(ticket)
            assert equal((found.masks, found.weights, found.header), (whole.masks, whole.weights, whole.header)), at
    assert refused > 250


def parts(path):
    """The tensors and the header of a ticket."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return load(path.read_bytes()), json.loads(file.metadata()["ticket"])


def rewritten(path, change, text=None):
    """Write a ticket again, as an older version did: without a checksum."""
    tensors, header = parts(path)
    change(tensors, header)
    save_file(tensors, path, metadata={"ticket": json.dumps(header) if text is None else text})


def test_a_ticket_of_before_there_were_checksums_is_read(ticket):
    whole = load_ticket(ticket)
    rewritten(ticket, lambda tensors, header: None)
    found = load_ticket(ticket)
    assert equal((found.masks, found.weights, found.header), (whole.masks, whole.weights, whole.header))


def test_what_becomes_of_a_ticket_after_it_was_read_changes_nothing(ticket):
    found = load_ticket(ticket)
    before = {name: one.clone() for name, one in found.weights.items()}
    with ticket.open("r+b") as file:
        file.write(bytes(ticket.stat().st_size))
    assert equal(found.weights, before)


def drop(name):
    return lambda tensors, header: header.pop(name)


def put(name, value):
    return lambda tensors, header: header.update({name: value})


def change_mask(change):
    def changed(tensors, header):
        tensors["masks/net.4.weight"] = change(tensors["masks/net.4.weight"])

    return changed


def forget(name):
    return lambda tensors, header: tensors.pop(name)


def spoil(tensors, header):
    tensors["weights/net.0.weight"][0] = float("nan")


TICKETS = {
    "without shapes": (drop("shapes"), "'shapes' is missing"),
    "shapes that are none": (put("shapes", {"net.0.weight": "x"}), "'shapes/net.0.weight' is a str"),
    "negative shapes": (put("shapes", {"net.0.weight": [-4, 9], "net.4.weight": [10, 64], "net.7.weight": [3, 10]}), "damaged"),
    "a mask missing": (forget("masks/net.4.weight"), "header and masks disagree about 'masks/net.4.weight'"),
    "a mask too many": (lambda t, h: t.update({"masks/x": torch.zeros(1, dtype=torch.uint8)}), "disagree about 'masks/x'"),
    "boolean masks": (change_mask(lambda mask: mask.bool()), "takes 80 bytes at one bit a weight, and this is a torch.bool"),
    "masks that are too long": (change_mask(lambda mask: torch.cat([mask, mask])), r"of shape \(160,\)"),
    "masks that are too short": (change_mask(lambda mask: mask[:-1].clone()), r"of shape \(79,\)"),
    "NaN weights": (spoil, "NaN in the weights of its rewind point: net.0.weight"),
    "a newer format": (put("format", 2), "has format 2, and lightning_prune .* A newer version wrote it"),
    "a format that is none": (put("format", "x"), "has format 'x'.*It is damaged, or was not written by"),
    "no format": (drop("format"), "has format None"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), TICKETS.values(), ids=TICKETS)
def test_a_mangled_ticket_is_refused_by_what_is_wrong(change, message, ticket):
    rewritten(ticket, change)
    with pytest.raises(ValueError, match=rf"(?s)load_ticket\('.*ticket.safetensors'\).*{message}"):
        load_ticket(ticket)


def test_a_header_that_is_no_header_is_refused(ticket):
    for text in ("[" * 100_000, "[1, 2]", "{", "3"):
        rewritten(ticket, lambda tensors, header: None, text)
        with pytest.raises(ValueError, match="is not a ticket"):
            load_ticket(ticket)
        save_file({"a": torch.ones(1)}, ticket, metadata={"ticket": '{"format": 1, "shapes": {}, "alive": {}}'})
    for path, what in ((ticket.parent, "a folder"), (ticket.parent / "gone", "no file")):
        with pytest.raises(ValueError, match=f"is {what}: give the file of a ticket"):
            load_ticket(path)


def test_a_ticket_with_nan_is_not_written(saved, tmp_path):
    state = copy.deepcopy(saved["pruned"])
    state["callbacks"]["WeightRewind"]["snapshot"]["net.4.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "diverged.ckpt")
    with pytest.raises(ValueError, match=r"has NaN in the weights of its rewind point: net.4.weight\. Nothing can be"):
        save_ticket(tmp_path / "ticket.safetensors", tmp_path / "diverged.ckpt")
    assert not (tmp_path / "ticket.safetensors").exists()


class Mine(Callback):
    """Has a state with names that ours have, too."""

    def state_dict(self):
        return {"masks": [1], "lowest": "x", "snapshot": None}

    def load_state_dict(self, state_dict):
        self.found = state_dict


def test_the_states_of_other_callbacks_are_their_own_affair(tmp_path):
    fit([IterativePruning(cycles=1), Mine()], toy(), max_epochs=1).save_checkpoint(tmp_path / "last.ckpt")
    mine = Mine()
    fit([IterativePruning(cycles=2), mine], toy(), ckpt_path=tmp_path / "last.ckpt", max_epochs=1)
    assert mine.found == mine.state_dict()
    save_ticket(tmp_path / "ticket", tmp_path / "last.ckpt")
    assert load_ticket(tmp_path / "ticket").header["cycle"] == 1


def test_a_mistake_is_named_by_its_place():
    kind = {"a": {str: [int]}, "b": (int, type(None))}
    assert find_mistake({"a": {"x": [1]}, "b": None}, kind, "") is None
    assert find_mistake({"a": {"x": [1, None]}, "b": 1}, kind, "") == "'a/x/1' is a NoneType"
    assert find_mistake({"a": {}}, kind, "state") == "'state/b' is missing"
    assert find_mistake({"a": {1: []}, "b": 1}, kind, "") == "'a' is a dict"
    assert find_mistake([], kind, "") == "it is a list"


def test_the_format_of_pruning_json_is_looked_at(tmp_path):
    reading = pytest.importorskip("lightning_prune.lab.report.read_run")
    (tmp_path / "pruning.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="pruning.json has format 99, and lightning_prune .* reads 1. A newer version"):
        reading._read_record(tmp_path / "pruning.json")
