"""docs/deployment/deployment.md is true: its blocks run, its table lists the formats, and its commands are understood."""

import re
import shlex
from pathlib import Path

import pytest
import torch

import lightning_prune
from lightning_prune.deployment.formats.known_formats import FORMATS
from lightning_prune.lab.export_command import export_parser

PAGE = (Path(lightning_prune.__file__).parents[1] / "docs" / "deployment" / "deployment.md").read_text()
FIRST, *OTHERS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
SLOW = "executorch"


def run(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(block, names)
    return names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:This API is experimental")
def test_all_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    for name in ("onnxruntime", "openvino", "executorch"):
        pytest.importorskip(name, reason=f"pip install 'lightning-prune[{name.removesuffix('runtime')}]'")
    names = run([FIRST, *OTHERS], tmp_path, monkeypatch)
    assert names["done"].is_right
    assert names["scores"].shape == (5, 3)
    expected = names["network"](torch.zeros(5, 8))
    for found in ("small", "whole"):
        assert torch.allclose(names[found](torch.zeros(5, 8)), expected, atol=1e-6)


def test_the_blocks_without_a_runtime_run(tmp_path, monkeypatch):
    runtimes = ("onnxruntime", "openvino", "executorch")
    quick = [block for block in OTHERS if not any(name in block for name in runtimes)]
    assert len(quick) == 3
    names = run([FIRST.replace("model.onnx", "model.pt2"), *quick], tmp_path, monkeypatch)
    assert names["done"].format == "torch"


def test_the_table_lists_every_format():
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)`", PAGE, flags=re.MULTILINE)
    assert dict(rows) == {name: known.file_name for name, known in FORMATS.items()}
    for name, known in FORMATS.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` "))
        assert (f"'lightning-prune[{known.extra}]'" in row) == bool(known.extra)


def test_its_commands_are_understood(tmp_path):
    commands = re.findall(r"^lightning-prune export (.*)$", PAGE, flags=re.MULTILINE)
    assert commands
    for command in commands:
        assert export_parser().parse_args(shlex.split(command)).format in FORMATS
