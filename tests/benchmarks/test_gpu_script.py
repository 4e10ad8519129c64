"""benchmarks/gpu.py in small on the CPU, so that a GPU's minutes are not lost to what could be found here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, timeout=500)


PARTS = ["guarantees", "step", "event", "masks", "launches", "packing", "nm", "claims", "regimes"]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_in_small_and_keeps_the_promises(part, tmp_path):
    done = run("--small", "--part", part, "--out", tmp_path, "--seconds", "400")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / f"{part}.json").read_text())
    assert result["rows"]
    assert result["small"]
    promises = [row for row in result["rows"] if row["goal"] == "yes"]
    assert all(row["met"] for row in promises), promises
    assert bool(promises) == (part in ("guarantees", "launches", "nm"))


@pytest.mark.slow
def test_claims_go_on_from_what_an_earlier_call_left(tmp_path):
    assert run("--small", "--part", "claims", "--out", tmp_path, "--seconds", "400").returncode == 0
    folder = tmp_path / "claims-small"
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    lost = folder / "LR-rewinding-1.json"
    before = json.loads(lost.read_text())
    lost.unlink()
    assert run("--small", "--part", "claims", "--out", tmp_path, "--seconds", "400").returncode == 0
    assert json.loads(lost.read_text()) == before
    assert all((folder / name).stat().st_mtime_ns == at for name, at in kept.items() if name != lost.name)


@pytest.mark.slow
def test_the_claims_read_a_folder_or_an_archive_of_images(tmp_path):
    import tarfile

    from PIL import Image

    from benchmarks.gpu_parts.cifar import read_once

    for part in ("train", "test"):
        for kind in ("cat", "dog"):
            (tmp_path / "images" / part / kind).mkdir(parents=True)
            for index in range(2):
                image = Image.new("RGB", (32, 32), (100 * (kind == "dog"),) * 3)
                image.save(tmp_path / "images" / part / kind / f"{index}.jpg")
    with tarfile.open(tmp_path / "images.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "images", "images")
    import numpy as np

    for data in (tmp_path / "images", tmp_path / "images.tar.xz"):
        out = tmp_path / f"out-{data.suffix}"
        out.mkdir()
        arrays = np.load(read_once(data, out, small=True))
        assert arrays["train"].shape == (4, 3, 32, 32)
        assert arrays["test_labels"].tolist() == [0, 0, 1, 1]
        assert abs(int(arrays["train"][3].mean()) - 100) < 3


def test_the_page_says_card_and_goals_and_an_empty_folder_is_named(tmp_path, monkeypatch):
    sys.path.insert(0, str(ROOT))
    from benchmarks import gpu

    row = {"measured": "step", "value": 1.0234, "goal": "<= 1.01", "met": False, "note": ""}
    result = {"part": "step", "card": "A card", "torch": "2.9", "small": False, "rows": [row]}
    (tmp_path / "step.json").write_text(json.dumps(result))
    monkeypatch.setattr(gpu, "PAGE", tmp_path / "gpu.md")
    gpu.write_page(tmp_path)
    text = (tmp_path / "gpu.md").read_text()
    assert "A card, torch 2.9" in text
    assert "| step | 1.02 | <= 1.01 | **no** |  |" in text
    (tmp_path / "step.json").unlink()
    with pytest.raises(SystemExit, match="has no results: run"):
        gpu.write_page(tmp_path)
