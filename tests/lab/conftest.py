"""Generated images in the layouts of the real data sets."""

import json
import pickle
from pathlib import Path

import numpy
import pytest
from PIL import Image
from torchvision import datasets

from lightning_prune.lab.report import vega


def draw_image(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = numpy.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(path)


def make_image_tree(root: Path, parts: dict[str, int], size: tuple[int, int] = (12, 12)) -> Path:
    """Put as many images as told into ``root/<part>/<cat and dog>/``."""
    seed = 0
    for part, count in parts.items():
        for index in range(count):
            seed += 1
            draw_image(root / part / ("cat", "dog")[index % 2] / f"{index:03}.png", size, seed)
    return root


@pytest.fixture
def draw():
    """Draw an image file: ``draw(path, size, seed)``."""
    return draw_image


@pytest.fixture
def make_tree():
    """Make a folder tree: ``make_tree(root, parts, size)``."""
    return make_image_tree


@pytest.fixture
def tree(tmp_path) -> Path:
    return make_image_tree(tmp_path / "pets", {"train": 40, "test": 6})


def write_pickle(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def images_as_rows(count: int, seed: int) -> numpy.ndarray:
    return numpy.random.default_rng(seed).integers(0, 256, (count, 3 * 32 * 32), dtype=numpy.uint8)


@pytest.fixture
def cifar(tmp_path, monkeypatch) -> Path:
    """A folder with both CIFAR sets in torchvision's format, a hundred images instead of fifty thousand."""
    for number in range(1, 6):
        content = {"data": images_as_rows(20, number), "labels": [(number + index) % 10 for index in range(20)]}
        write_pickle(tmp_path / "cifar-10-batches-py" / f"data_batch_{number}", content)
    content = {"data": images_as_rows(10, seed=6), "labels": list(range(10))}
    write_pickle(tmp_path / "cifar-10-batches-py" / "test_batch", content)
    write_pickle(tmp_path / "cifar-10-batches-py" / "batches.meta", {"label_names": list("abcdefghij")})
    for part, count in (("train", 100), ("test", 10)):
        content = {"data": images_as_rows(count, seed=7), "fine_labels": list(range(count))}
        write_pickle(tmp_path / "cifar-100-python" / part, content)
    write_pickle(tmp_path / "cifar-100-python" / "meta", {"fine_label_names": [str(name) for name in range(100)]})
    # Only the checksums are skipped; everything else is torchvision's own loading.
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: True)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which is slow, where a test looks at no picture; specifications are still made."""
    monkeypatch.setattr(vega, "svg_of", lambda spec: json.dumps(spec, allow_nan=False))
    monkeypatch.setattr(vega, "png_of", lambda svg: b"")
    monkeypatch.setattr("lightning_prune.ablation.report.page.scripts", lambda: "")
