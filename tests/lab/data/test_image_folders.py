"""Folder trees: sizes and colors, the cache and when it is thrown away, and what is said of a wrong tree."""

import os

import pytest
import torch
from PIL import Image

from lightning_prune.lab import ImageFolders
from lightning_prune.lab.data import image_folders
from lightning_prune.lab.data.image_set import ImagesInMemory, ImagesOnDisk


def ready(root, **kwargs) -> ImageFolders:
    data = ImageFolders(root=str(root), **{"image_size": 8, "workers": 2, **kwargs})
    data.prepare_data()
    data.setup("fit")
    return data


def test_classes_labels_and_a_normalization_of_their_own(tree):
    data = ready(tree)
    assert data.classes == ("cat", "dog")
    assert data.source.train.labels.tolist() == [0] * 20 + [1] * 20
    normalized = data.normalization(data.source.train.images)
    assert normalized.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (normalized.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3


def test_memory_and_disk_hold_the_same_images(tree):
    memory, disk = ready(tree), ready(tree, memory_limit=0.0)
    assert isinstance(memory.source.train, ImagesInMemory)
    assert isinstance(disk.source.train, ImagesOnDisk)
    assert (memory.source.workers, disk.source.workers) == (0, 2)
    indices = list(range(40))
    for one, other in zip(
        memory.source.train.__getitems__(indices), disk.source.train.__getitems__(indices), strict=True
    ):
        assert one.equal(other)
    assert memory.normalization == disk.normalization


def test_the_limit_counts_every_part(tree):
    decoded = 46 * 3 * 8 * 8 / 1e9
    assert isinstance(ready(tree, memory_limit=decoded).source.train, ImagesInMemory)
    assert isinstance(ready(tree, memory_limit=decoded * 0.99).source.train, ImagesOnDisk)


def test_a_folder_of_validation_images_is_used_whole(tmp_path, make_tree):
    data = ready(make_tree(tmp_path, {"train": 10, "val": 4, "test": 2}), validation=0.5)
    assert (len(data.train_images), len(data.validation_images)) == (10, 4)
    labels = torch.cat([labels for _, labels in data.val_dataloader()])
    assert labels.tolist() == [0, 0, 1, 1]


def test_exact_pixels_at_the_size_of_the_file(tree):
    pixels = torch.tensor(list(Image.open(tree / "train" / "cat" / "000.png").convert("RGB").tobytes()))
    expected = pixels.reshape(12, 12, 3).permute(2, 0, 1)
    assert ready(tree, image_size=12).source.train[0][0].equal(expected.to(torch.uint8))


@pytest.mark.parametrize("size", [(30, 20), (20, 30), (5, 7)])
def test_any_shape_becomes_a_square_of_its_middle(tmp_path, size, make_tree):
    data = ready(make_tree(tmp_path, {"train": 4, "test": 2}, size=size))
    assert data.source.train[0][0].shape == (3, 8, 8)


def test_grey_images(tree):
    data = ready(tree, channels=1, mean=[0.5], std=[0.25])
    assert data.source.train.images.shape == (40, 1, 8, 8)
    assert data.normalization.std == (0.25,)


@pytest.fixture
def decoded(monkeypatch) -> list:
    """Count how many files are decoded at each call."""
    calls = []
    decode = image_folders.decode_all

    def counting(paths, decoder, threads):
        calls.append(len(paths))
        return decode(paths, decoder, threads)

    monkeypatch.setattr(image_folders, "decode_all", counting)
    return calls


def test_the_cache_is_used_the_second_time(tree, tmp_path, decoded):
    cache = tmp_path / "cache"
    first = ready(tree, cache=str(cache))
    second = ready(tree, cache=str(cache))
    assert decoded == [40, 6]
    assert second.source.train.images.equal(first.source.train.images)
    assert sorted(file.name.split("-")[0] for file in cache.iterdir()) == ["test", "train"]
    moved = tree.rename(tmp_path / "elsewhere")
    ready(moved, cache=str(cache))
    assert decoded == [40, 6]


@pytest.mark.parametrize("change", ["content", "added", "removed", "size"])
def test_a_changed_tree_is_decoded_anew(tree, tmp_path, decoded, change, draw):
    cache = str(tmp_path / "cache")
    before = ready(tree, cache=cache)
    file = tree / "train" / "cat" / "000.png"
    if change == "content":
        draw(file, (12, 12), seed=99)
        os.utime(file, ns=(1, 1))
    if change == "added":
        draw(file.with_name("new.png"), (12, 12), seed=99)
    if change == "removed":
        file.unlink()
    after = ready(tree, cache=cache, image_size=9 if change == "size" else 8)
    assert len(decoded) == (4 if change == "size" else 3)
    assert not after.source.train.images.equal(before.source.train.images)


def test_only_whole_cache_files_are_left(tree, tmp_path, monkeypatch):
    def interrupted(tensor, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_prune.lab.data.cache.torch.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ready(tree, cache=str(tmp_path / "cache"))
    assert not list((tmp_path / "cache").glob("*.pt"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, r"has no classes: the folder does not exist. The layout is <root>/train/<class>/<image>"),
        ({"test": 2}, r"has no classes: the folder pets/ has test in it"),
        ({"train": 2}, r"has no images in test/: the folder does not exist"),
        ({"train": 1, "test": 2}, r"has classes in test/ that train/ does not have: dog. Add them"),
    ],
)
def test_an_incomplete_tree_says_what_is_missing(tmp_path, parts, message, make_tree):
    root = make_tree(tmp_path / "pets", parts)
    with pytest.raises((FileNotFoundError, ValueError), match=r"ImageFolders\(root='.*pets'\) " + message):
        ready(root)


def test_a_class_without_images_is_named(tree):
    (tree / "train" / "eel").mkdir()
    (tree / "train" / "eel" / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no images in train/eel/: the folder eel/ has notes.txt in it"):
        ready(tree)


@pytest.mark.parametrize("memory_limit", [4.0, 0.0])
def test_a_broken_file_is_named(tree, memory_limit):
    (tree / "train" / "cat" / "000.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"cat/000.png cannot be decoded: .* Repair or remove the file"):
        ready(tree, memory_limit=memory_limit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, r"ImageFolders\(image_size=0\)"),
        ({"workers": 0}, r"ImageFolders\(workers=0\)"),
        ({"channels": 2}, r"`channels` must be 3 \(color\) or 1 \(gray\)"),
        ({"memory_limit": -1}, r"`memory_limit` must be 0 gigabytes or more"),
        ({"std": [0.5]}, r"`std` must have 3 values"),
        ({"mean": [0.5] * 3}, r"give both or neither"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ImageFolders(root="pets", **arguments)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_deep_images_are_refused(tree, mode):
    Image.new(mode, (12, 12)).save(tree / "train" / "cat" / "000.tiff")
    with pytest.raises(ValueError, match=r"000.tiff has more than 8 bits a pixel .* Scale the images to 8 bits first"):
        ready(tree)


def test_decoding_is_not_silent_where_there_is_no_terminal(tree, monkeypatch, capsys):
    monkeypatch.setattr("lightning_prune.lab.data.decoding.SECONDS_OF_SILENCE", -1.0)
    ready(tree)
    assert capsys.readouterr().err.splitlines()[0] == "Decoding: 40 of 40 images"
