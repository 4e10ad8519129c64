"""``lightning-prune export`` writes the network of a checkpoint for a runtime, and exits with 1 if the file is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line_runs import (  # noqa: F401 - the fixture is used by its name
    QUICK,
    failure,
    in_an_empty_folder,
    main,
    without_half,
)

from lightning_prune import load_small, load_sparse
from lightning_prune.deployment.formats.known_formats import FORMATS
from lightning_prune.lab import Classifier, ConvNet, export_command

CONFIG = """
model: {class_path: lightning_prune.lab.Classifier, init_args: {network: {class_path: lightning_prune.lab.ConvNet, init_args: {channels: 1, width: 4}}}}
trainer: {max_epochs: 1, accelerator: cpu}
"""


def network():
    return Classifier(ConvNet(channels=1, width=4))


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint in the folder of a run, in which half of the units of a layer are zero."""
    path = Path("runs", "version_0", "checkpoints", "last.ckpt")
    path.parent.mkdir(parents=True)
    path.parents[1].joinpath("config.yaml").write_text(CONFIG)
    torch.save({"state_dict": network().state_dict()}, path)
    return without_half(path)


def logits(path, images):
    module = network()
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    return module.eval()(images)


def test_files_of_several_formats_beside_the_checkpoint(checkpoint, capsys):
    capsys.readouterr()
    main(["export", f"--ckpt={checkpoint}", "--format=torch,safetensors,sparse", "--batch=3", "--inputs=0"])
    said = capsys.readouterr()
    assert said.out.count("The weights of the whole network take") == 3
    whole = sum(one.numel() for one in network().parameters())
    left = whole - 2 * (9 + 2 + 9 * network().network.features[4].out_channels)
    assert said.out.count(f"Parameters: {whole:,} -> {left:,}\n") == 2
    assert said.out.count(f"Parameters: {whole:,}, nothing was removed\n") == 1
    assert "Opened by torch.export.load, batch 3: the outputs differ by" in said.out
    assert "GPU available" not in said.err
    images = torch.rand(3, 1, 8, 8)
    expected = logits(checkpoint, images)
    folder = checkpoint.parent
    small = load_small(folder / "model.safetensors", network()).eval()
    assert small.network.features[0].out_channels == 2
    sparse = load_sparse(folder / "model.sparse.safetensors", network()).eval()
    for found in (torch.export.load(folder / "model.pt2").module(), small, sparse):
        assert torch.allclose(found(images), expected, atol=1e-5)


@pytest.mark.slow
def test_onnx_of_the_small_network_of_a_run(tmp_path):
    Path("config.yaml").write_text(CONFIG)
    main(["fit", "--config=config.yaml", *QUICK])
    checkpoint = without_half(next(Path("runs").glob("**/last.ckpt")))
    main(["shrink", f"--ckpt={checkpoint}", "--out=small.safetensors"])
    main(["export", "--ckpt=small.safetensors", "--config=config.yaml", "--format=onnx", "--out=it.onnx", "--opset=18"])
    import onnxruntime

    session = onnxruntime.InferenceSession("it.onnx")
    images = torch.rand(5, 1, 8, 8)
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert torch.allclose(torch.from_numpy(found), logits(checkpoint, images), atol=1e-5)


def test_a_wrong_file_ends_with_1(checkpoint, capsys, monkeypatch):
    def wrong(path, ready):
        return lambda number: ready.returned(number) + 0.1

    monkeypatch.setitem(FORMATS, "torch", replace(FORMATS["torch"], open=wrong))
    with pytest.raises(SystemExit) as ended:
        main(["export", f"--ckpt={checkpoint}", "--format=torch"])
    assert ended.value.code == 1
    assert "The file is WRONG: do not use it." in capsys.readouterr().out
    main(["export", f"--ckpt={checkpoint}", "--format=torch", "--tolerance=100"])


def test_what_it_cannot_export_it_says(checkpoint, capsys, monkeypatch):
    for words, said in (
        (["--ckpt=nowhere.ckpt", "--format=onnx"], "`--ckpt nowhere.ckpt` does not exist. Give a checkpoint, a small"),
        (["--format=onxx"], "There is no format `onxx`. Did you mean `onnx`?"),
        (["--format=torch,onxx"], "There is no format `onxx`"),
        (["--format=torch,onnx", "--out=a.onnx"], "is one file, and `--format torch,onnx` writes 2"),
        (["--format=torch", "--out=a.onnx"], "writes files that end in .pt2"),
        (["--format=torch", "--out=nowhere/a.pt2"], "there is no folder 'nowhere' for the file"),
        (["--format=torch", "--batch=a"], 'Parser key "batch"'),
        (["--format=torch", "--opset=18"], "`opset` must stay as it is for 'torch'"),
        (["--format=torch", "--config=nowhere.yaml"], "nowhere.yaml"),
        (
            ["--format=torch", "--inputs=images"],
            "`--inputs images`: the batch of the data has 0, 1, and no images",
        ),
        (["--format=torch", "--tolerance=-1"], "export(tolerance=-1.0) must be at least 0"),
    ):
        assert said in failure(capsys, "export", f"--ckpt={checkpoint}", *words), words
    Path("other.yaml").write_text(CONFIG.replace("width: 4", "width: 5"))
    said = failure(capsys, "export", f"--ckpt={checkpoint}", "--config=other.yaml", "--format=torch")
    assert f"`--ckpt {checkpoint}` is of another network than this Classifier" in said
    shutil.copy(checkpoint, "alone.ckpt")
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    said = failure(capsys, "export", f"--ckpt={checkpoint}", "--format=torch,openvino")
    assert "needs openvino: pip install 'lightning-prune[openvino]'" in said
    assert not list(checkpoint.parent.glob("model.*")), "nothing is written before all is checked"


def test_its_help_lists_the_formats(capsys):
    assert ", ".join(FORMATS) == export_command.FORMATS
    with pytest.raises(SystemExit) as ended:
        main(["export", "--help"])
    assert ended.value.code == 0
    assert "--largest_batch" in capsys.readouterr().out
