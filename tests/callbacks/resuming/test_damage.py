"""A damaged checkpoint is reported as what it is, and the newest whole one beside it is named."""

import io
import os
import random
import zipfile

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import equal, fit, toy

from lightning_prune import IterativePruning, LRRewind
from lightning_prune.callbacks.resuming.damaged_checkpoints import (
    check_before_loading,
    find_damage,
    newest_whole,
    refuse_damaged,
)


def callbacks(folder, **options):
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, **options)
    return [IterativePruning(cycles=1, retrain="2ep"), LRRewind(), keep]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The checkpoints of a tiny run."""
    folder = tmp_path_factory.mktemp("saved")
    fit(callbacks(folder), toy(), enable_checkpointing=True)
    return {file.stem: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(saved, tmp_path):
    """They once more, the later the newer, and beside them what cannot be resumed."""
    for age, name in enumerate(sorted(saved)):
        (tmp_path / f"{name}.ckpt").write_bytes(saved[name])
        os.utime(tmp_path / f"{name}.ckpt", (age, age))
    torch.save({"state_dict": {}}, tmp_path / "weights.ckpt")  # newer than all of them
    return tmp_path


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def find(content, record):
    """Where the bytes of a record begin."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(f"archive/{record}") as stream:
        return stream._orig_compress_start


def table(content):
    return zipfile.ZipFile(io.BytesIO(content)).start_dir


def attributes(content, record):
    """Where the attributes of a record are in the table."""
    return content.index(f"archive/{record}".encode(), table(content)) - 8


DAMAGES = {
    "nothing was written": (lambda c: b"", "it is empty"),
    "cut off in the first word": (lambda c: c[:3], "it ends after 3 bytes, without its table of contents"),
    "cut off in the header": (lambda c: c[:20], "it ends after 20 bytes"),
    "cut off in the middle": (lambda c: c[: len(c) // 2], "without its table of contents"),
    "cut off in the table": (lambda c: c[:-40], "without its table of contents"),
    "the last byte missing": (lambda c: c[:-1], "without its table of contents"),
    "room made, nothing written": (lambda c: bytes(len(c)), "it begins with 4 zeros"),
    "the end not written": (lambda c: c[:9000] + bytes(len(c) - 9000), "without its table of contents"),
    "a byte of the header": (lambda c: flipped(c, 1), "its table of contents has changed|'archive/data.pkl' in it"),
    "a byte of the structure": (lambda c: flipped(c, find(c, "data.pkl") + 50), "'archive/data.pkl' in it has changed"),
    "a byte of a weight": (lambda c: flipped(c, find(c, "data/0") + 3), "'archive/data/0' in it has changed"),
    "a byte of the table": (lambda c: flipped(c, table(c) + 1), "its table of contents has changed"),
    "a size in the table": (lambda c: flipped(c, table(c) + 20), "its table of contents has changed"),
    "a weight that became a folder": (
        lambda c: flipped(c, attributes(c, "data/0")),
        "'archive/data/0' in it has changed",
    ),
    "a name in the table": (lambda c: flipped(c, table(c) + 49), "has changed"),
}
every_damage = pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)


@every_damage
def test_a_damaged_checkpoint_is_reported_and_the_newest_whole_one_named(damage, message, folder):
    path = folder / "epoch=5.ckpt"
    path.write_bytes(damage(path.read_bytes()))
    (folder / "epoch=4.ckpt").write_bytes(b"")  # a newer one, but damaged itself
    expected = (
        rf"IterativePruning cannot resume from '.*epoch=5.ckpt': the file is damaged \(.*({message}).*\)\. "
        r"The newest whole checkpoint beside it is '.*epoch=3.ckpt': resume from that one with ckpt_path\."
    )
    with pytest.raises(ValueError, match=expected):
        refuse_damaged(path)


def test_where_no_whole_checkpoint_lies_beside_a_damaged_one_it_is_said(folder):
    for path in folder.glob("epoch*.ckpt"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="There is no whole checkpoint beside it.*give another one, or start again"):
        refuse_damaged(str(folder / "epoch=5.ckpt"))


def test_a_link_to_the_damaged_file_is_not_named_instead(folder):
    (folder / "epoch=5.ckpt").write_bytes(b"")
    (folder / "last.ckpt").symlink_to("epoch=5.ckpt")  # as ModelCheckpoint(save_last="link") makes it
    assert newest_whole(folder / "last.ckpt") == folder / "epoch=4.ckpt"


def test_whatever_single_bit_changes_the_file_is_refused_or_means_the_same(saved, tmp_path):
    content, path, draw = saved["epoch=4"], tmp_path / "changed.ckpt", random.Random(0)
    whole = torch.load(io.BytesIO(content), weights_only=True)
    places = [draw.randrange(len(content)) for _ in range(300)]
    places += [draw.randrange(table(content), len(content)) for _ in range(300)]
    refused = 0
    for at in places:
        changed = content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        path.write_bytes(changed)
        if find_damage(path) is None:
            assert equal(torch.load(io.BytesIO(changed), weights_only=True), whole), at
        else:
            refused += 1
    assert refused > len(places) / 2


def test_wherever_a_file_is_cut_off_it_is_refused(saved, tmp_path):
    content, path = saved["epoch=4"], tmp_path / "cut.ckpt"
    for end in [0, 1, 2, 3, 4, *range(5, len(content), 97), *range(len(content) - 30, len(content))]:
        path.write_bytes(content[:end])
        assert find_damage(path) is not None, end


def test_what_is_whole_is_let_through(folder, saved, monkeypatch):
    for path in folder.glob("*.ckpt"):
        refuse_damaged(path)
    monkeypatch.chdir(folder)
    refuse_damaged("epoch=4.ckpt")
    torch.serialization.set_crc32_options(False)  # some write no checksums, for speed
    try:
        torch.save(torch.load("epoch=4.ckpt", weights_only=True), "quick.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)
    refuse_damaged("quick.ckpt")


def test_what_has_nothing_to_check_is_left_to_lightning(tmp_path, saved):
    content = torch.load(io.BytesIO(saved["epoch=4"]), weights_only=True)
    torch.save(content, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "sharded.ckpt").mkdir()
    for path in (*tmp_path.iterdir(), tmp_path / "missing.ckpt", "s3://bucket/last.ckpt", "hpc", None, io.BytesIO(b"")):
        refuse_damaged(path)


@pytest.mark.parametrize("weights_only", [None, True, False])
def test_a_fit_refuses_before_anything_is_loaded_and_resumes_from_the_file_it_names(folder, weights_only):
    path = folder / "epoch=5.ckpt"
    path.write_bytes(flipped(path.read_bytes(), find(path.read_bytes(), "data/0") + 3))
    module = toy()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match="the file is damaged.*newest whole checkpoint beside it is '.*epoch=4.ckpt'"):
        fit(callbacks(folder), module, ckpt_path=path, weights_only=weights_only)
    assert equal(dict(module.state_dict()), before)
    resumed = fit(callbacks(folder), toy(), ckpt_path=folder / "epoch=4.ckpt")
    assert resumed.current_epoch == 6


def test_a_strategy_that_was_told_to_check_can_be_told_to_stop(folder):
    class Strategy:
        restore_checkpoint_after_setup = False

        def load_checkpoint(self, checkpoint_path, weights_only=None):
            return {"state_dict": {}, "pytorch-lightning_version": "2.6.0", "asked": (checkpoint_path, weights_only)}

    strategy, damaged = Strategy(), folder / "damaged.ckpt"
    damaged.write_bytes(b"")
    undo = check_before_loading(strategy, lambda checkpoint: None)
    asked = folder / "epoch=4.ckpt", True
    assert strategy.load_checkpoint(folder / "epoch=4.ckpt", weights_only=True)["asked"] == asked
    with pytest.raises(ValueError, match="the file is damaged"):
        strategy.load_checkpoint(damaged)
    undo()
    assert strategy.load_checkpoint(damaged)["asked"] == (damaged, None)
