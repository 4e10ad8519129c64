"""``lightning-prune shrink`` writes a small network, which the evaluating commands take."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_line_runs import (  # noqa: F401 - the fixture is used by its name
    QUICK,
    failure,
    in_an_empty_folder,
    main,
    without_half,
)

from lightning_prune.lab import Classifier, ConvNet
from lightning_prune.shrinking.small_file import read_small

CONFIG = """
model: {class_path: lightning_prune.lab.Classifier, init_args: {network: {class_path: lightning_prune.lab.ConvNet, init_args: {channels: 1, width: 4}}}}
trainer: {max_epochs: 1, accelerator: cpu}
"""


@pytest.fixture
def checkpoint(tmp_path):
    """The last checkpoint of a run, in which half of the units are zero."""
    Path("config.yaml").write_text(CONFIG)
    main(["fit", "--config=config.yaml", *QUICK])
    return without_half(next(Path("runs").glob("**/last.ckpt")))


def metric(path):
    return pd.read_csv(path)["test/accuracy"].iloc[-1]


def test_a_checkpoint_becomes_a_small_file_that_is_tested_as_the_checkpoint(checkpoint, capsys):
    main(["shrink", f"--ckpt={checkpoint}", "--out=small.safetensors"])
    said = capsys.readouterr().out
    assert "2 units of 1 groups are removed" in said
    assert said.endswith("Written: small.safetensors\n")
    assert Path("small.safetensors").stat().st_size < checkpoint.stat().st_size
    main(["test", "--config=config.yaml", f"--ckpt_path={checkpoint}", "--trainer.limit_test_batches=2"])
    (masked,) = Path("runs").glob("**/test.csv")
    masked = metric(masked)
    shutil.rmtree("runs")
    main(["test", "--config=config.yaml", "--ckpt_path=small.safetensors", "--trainer.limit_test_batches=2"])
    (small,) = Path("runs").glob("**/test.csv")
    assert metric(small) == masked
    for command in ("validate", "predict"):
        main(
            [
                command,
                "--config=config.yaml",
                "--ckpt_path=small.safetensors",
                *QUICK,
                "--trainer.limit_predict_batches=1",
            ]
        )


def test_a_fit_with_shrink_writes_a_small_file_that_is_tested():
    words = [
        "--pruning.cycles=1",
        "--pruning.retrain=1ep",
        "--pruning.granularity=Structures",
        "--pruning.measure=flops",
    ]
    Path("config.yaml").write_text(
        CONFIG.replace("accelerator: cpu", "callbacks: [{class_path: Shrink, init_args: {save: small.safetensors}}]")
    )
    main(["fit", "--config=config.yaml", *QUICK, *words, "--trainer.accelerator=cpu"])
    (file,) = Path("runs").glob("**/small.safetensors")
    record, _ = read_small(file)
    assert record.small_shapes() != record.shapes
    assert (file.parent / "config.yaml").is_file()
    main(["test", f"--config={file.parent / 'config.yaml'}", f"--ckpt_path={file}", "--trainer.limit_test_batches=2"])


def test_without_a_place_the_file_lies_beside_the_checkpoint(checkpoint):
    main(["shrink", f"--ckpt={checkpoint}"])
    assert checkpoint.with_name("small.safetensors").is_file()


def test_the_folder_of_a_run_stands_for_its_last_checkpoint(checkpoint):
    main(["shrink", f"--ckpt={checkpoint.parents[1]}"])
    assert checkpoint.with_name("small.safetensors").is_file()


def test_what_it_cannot_shrink_it_says(checkpoint, capsys):
    for words, said in (
        (
            ["--ckpt=nowhere.ckpt"],
            "`--ckpt nowhere.ckpt` does not exist. Give a checkpoint of a pruned run, or the folder",
        ),
        (["--ckpt=."], "`--ckpt .` holds no checkpoint"),
        ([f"--ckpt={checkpoint}", "--out=small.ckpt"], "`--out small.ckpt` must end in .safetensors"),
        ([f"--ckpt={checkpoint}", "--config=nowhere.yaml"], "nowhere.yaml"),
    ):
        assert said in failure(capsys, "shrink", *words)
    alone = Path("alone", "deep", "last.ckpt")
    alone.parent.mkdir(parents=True)
    shutil.copy(checkpoint, alone)
    assert "there is no config.yaml of its run in" in failure(capsys, "shrink", f"--ckpt={alone}")
    Path("empty.yaml").write_text("trainer: {max_epochs: 1}")
    assert "has no `model`" in failure(capsys, "shrink", f"--ckpt={checkpoint}", "--config=empty.yaml")
    saved = torch.load(checkpoint, weights_only=True)
    torch.manual_seed(0)
    saved["state_dict"] = Classifier(ConvNet(channels=1, width=4)).state_dict()
    torch.save(saved, checkpoint)
    assert "has nothing to remove: no channel, head or neuron of Classifier is zero" in failure(
        capsys, "shrink", f"--ckpt={checkpoint}"
    )
    assert not checkpoint.with_name("small.safetensors").exists()


def test_fit_and_damaged_files_are_refused(checkpoint, capsys):
    main(["shrink", f"--ckpt={checkpoint}", "--out=small.safetensors"])
    capsys.readouterr()
    said = failure(capsys, "fit", "--config=config.yaml", "--ckpt_path=small.safetensors")
    assert "is a small network without optimizers and masks, and `fit` cannot go on from it" in said
    Path("cut.safetensors").write_bytes(Path("small.safetensors").read_bytes()[:-9])
    assert "is no small network" in failure(capsys, "test", "--config=config.yaml", "--ckpt_path=cut.safetensors")
    assert "does not exist" in failure(capsys, "test", "--config=config.yaml", "--ckpt_path=none.safetensors")
    other = CONFIG.replace("width: 4", "width: 5")
    Path("other.yaml").write_text(other)
    assert "is of another network than this Classifier" in failure(
        capsys, "test", "--config=other.yaml", "--ckpt_path=small.safetensors"
    )
