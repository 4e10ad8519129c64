"""``lightning-prune profile``: any file of a network, the whole network beside it, and files beside the run."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from command_line_runs import QUICK, failure, in_an_empty_folder, main  # noqa: F401 - the fixture is used by its name

from lightning_prune.lab import Classifier, ConvNet

CONFIG = """
model: {class_path: lightning_prune.lab.Classifier, init_args: {network: {class_path: lightning_prune.lab.ConvNet, init_args: {channels: 1, width: 4}}}}
trainer: {max_epochs: 1, accelerator: cpu}
"""
SHORT = ["--batch=2", "--rounds=1"]
CUT = (("0.weight", 0), ("1.weight", 0), ("1.bias", 0), ("4.weight", 1))


@pytest.fixture
def checkpoint():
    """The last checkpoint of a run in which two of four channels are zero."""
    Path("config.yaml").write_text(CONFIG)
    main(["fit", "--config=config.yaml", *QUICK])
    path = next(Path("runs").glob("**/last.ckpt"))
    saved = torch.load(path, weights_only=True)
    for name, dim in CUT:
        saved["state_dict"][f"network.features.{name}"].index_fill_(dim, torch.tensor([1, 2]), 0)
    torch.save(saved, path)
    return path


def parameters():
    return sum(one.numel() for one in Classifier(ConvNet(channels=1, width=4)).parameters())


def written(folder):
    return json.loads((folder / "profile.json").read_text())


def test_a_checkpoint_is_compared_with_the_whole_network_of_its_run(checkpoint, capsys):
    run = checkpoint.parent.parent
    main(["profile", f"--ckpt={checkpoint}", "--batch=3,2", "--threads=1,2", "--rounds=1"])
    said, found = capsys.readouterr().out, written(run / "profile")
    removed = 2 * (9 + 1 + 1) + 8 * 2 * 9 + (2 if ConvNet(channels=1, width=4).features[0].bias is not None else 0)
    assert found["names"] == ["this", "whole"]
    assert found["against"]["parameters"] == parameters()
    assert found["sizes"]["parameters"] == parameters() - removed
    assert [(one["threads"], one["batch"]) for one in found["timings"]] == [(1, 3), (1, 2), (2, 3), (2, 2)]
    assert f"{parameters():,}" in said
    assert {path.name for path in (run / "profile").iterdir()} == {"profile.json", "profile.png", "profile.svg"}
    assert "profile.png" in said.splitlines()[-1]


def test_a_run_a_small_file_and_a_dense_checkpoint_are_taken(checkpoint, capsys):
    main(["shrink", f"--ckpt={checkpoint}", "--out=small.safetensors"])
    for given in (["--ckpt=small.safetensors", "--config=config.yaml"], [f"--ckpt={checkpoint.parent.parent}"]):
        main(["profile", *given, *SHORT, "--out=found"])
        shrunk = written(Path("found"))
        assert shrunk["sizes"]["parameters"] < shrunk["against"]["parameters"] == parameters()
    dense = shutil.copy(checkpoint, "dense.ckpt")
    saved = torch.load(dense, weights_only=True)
    torch.manual_seed(0)
    saved["state_dict"] = Classifier(ConvNet(channels=1, width=4)).state_dict()
    torch.save(saved, dense)
    main(["profile", "--ckpt=dense.ckpt", f"--against={checkpoint}", *SHORT, "--out=found"])
    turned = written(Path("found"))
    assert turned["names"] == ["this", "against"]
    assert (turned["against"]["flops"], turned["sizes"]["flops"]) == (
        shrunk["sizes"]["flops"],
        shrunk["against"]["flops"],
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ckpt=nowhere.ckpt"], "`--ckpt nowhere.ckpt` does not exist. Give a checkpoint, a small.safetensors"),
        (["--ckpt=."], "`--ckpt .` holds no checkpoint"),
        (["--ckpt=a.ckpt", "--against=nowhere.ckpt"], "`--against nowhere.ckpt` does not exist"),
        (["--ckpt=a.ckpt", "--batch=1,x"], "`--batch 1,x` must be whole numbers, each at least 1, with commas"),
        (["--ckpt=a.ckpt", "--threads=0"], "`--threads 0` must be whole numbers"),
        (["--ckpt=a.ckpt", "--rounds=0"], "`--rounds 0` must be at least 1"),
        (["--ckpt=a.ckpt"], "there is no config.yaml of its run in"),
    ],
)
def test_what_it_cannot_measure_it_says(words, said, capsys, tmp_path):
    Path("sub/sub").mkdir(parents=True)
    if "--ckpt=a.ckpt" in words:
        Path("sub/sub/a.ckpt").write_text("no checkpoint")
        words = ["--ckpt=sub/sub/a.ckpt" if one == "--ckpt=a.ckpt" else one for one in words]
    assert said in failure(capsys, "profile", *words)


def test_an_unknown_runtime_is_refused_before_anything_is_loaded(capsys):
    Path("config.yaml").write_text(CONFIG)
    Path("a.ckpt").write_text("no checkpoint")
    assert "there is no runtime 'onx'" in failure(capsys, "profile", "--ckpt=a.ckpt", "--runtime=onx")


def test_the_help_needs_no_torch():
    import subprocess

    code = "import sys; from lightning_prune.cli import main\ntry: main(['profile', '--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "False"
