"""``lightning-prune compress`` turns trained weights of any form into a small network, and says how."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from command_line_runs import QUICK, failure, in_an_empty_folder, main  # noqa: F401 - the fixture is used by its name
from onnxruntime import InferenceSession
from safetensors.torch import save_file

from lightning_prune import export
from lightning_prune.callbacks.gathering import latency_in_fit
from lightning_prune.granularity.interpolation import Curve
from lightning_prune.granularity.latency_table import LatencyTable
from lightning_prune.lab import Classifier, ConvNet
from lightning_prune.shrinking.shrink_record import ShrinkRecord
from lightning_prune.shrinking.small_checkpoints import plain_record
from lightning_prune.shrinking.small_file import load_small
from lightning_prune.structures.flops import count_flops

CONFIG = """
model: {class_path: Classifier, init_args: {network: {class_path: ConvNet, init_args: {channels: 1, width: 8}}}}
trainer: {max_epochs: 1, accelerator: cpu}
"""
QUIET = [*QUICK, "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.fixture
def trained():
    """The checkpoint of a dense run with plain Lightning's means: nothing of this package is in the config."""
    Path("my.yaml").write_text(CONFIG)
    main(["fit", "--config=my.yaml", *QUIET])
    return next(Path("runs").glob("**/last.ckpt"))


def compress(*words):
    main(["compress", "--config=my.yaml", "--retrain=1ep", *words, *QUIET])
    return max(Path("runs/compress").glob("**/small.safetensors"), key=lambda path: path.stat().st_mtime_ns)


def module():
    return Classifier(ConvNet(channels=1, width=8))


def operations(network):
    return count_flops(network, lambda: network(torch.zeros(1, 1, 8, 8))).total


def state_of(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("speedup", [2, 4])
def test_the_operations_are_divided_by_the_speedup(trained, speedup):
    small = load_small(compress(f"--ckpt_path={trained}", f"--speedup={speedup}"), module())
    assert operations(module()) / operations(small) == pytest.approx(speedup, rel=0.15)  # whole channels of eight


def test_the_printed_config_is_the_same_fit(trained, capsys):
    capsys.readouterr()
    first = compress(f"--ckpt_path={trained}", "--seed_everything=3")
    printed = capsys.readouterr().out
    text = printed[: printed.index("\n\n")]
    Path("printed.yaml").write_text(text)
    main(["fit", "--config=printed.yaml", "--seed_everything=3", *QUIET])
    masked = state_of(max(Path("runs").glob("**/last.ckpt"), key=lambda path: path.stat().st_mtime_ns))
    ours = state_of(first.parent / "checkpoints" / "last.ckpt")
    assert masked.keys() == ours.keys()
    assert all(torch.equal(masked[name], ours[name]) for name in ours)


def test_all_forms_of_trained_weights_give_the_same_network(trained, tmp_path):
    saved = torch.load(trained, weights_only=True)
    network = {name.removeprefix("network."): one for name, one in saved["state_dict"].items()}
    torch.save({"state_dict": saved["state_dict"]}, "weights_only.ckpt")
    torch.save(network, "network.pth")
    save_file({name: one.clone() for name, one in network.items()}, "network.safetensors")
    files = ("weights_only.ckpt", "network.pth", "network.safetensors")
    made = [load_small(compress(f"--ckpt_path={one}"), module()).state_dict() for one in files]
    assert all(torch.equal(made[0][name], other[name]) for other in made[1:] for name in made[0])
    start = state_of(trained)["network.features.0.weight"]
    assert made[0]["network.features.0.weight"].shape[0] < start.shape[0]


def test_without_weights_the_config_is_trained_first(trained):
    small = load_small(compress(), module())
    assert operations(small) < operations(module())


def test_both_networks_stand_side_by_side_and_the_small_one_is_exported(trained, capsys):
    small = load_small(compress(f"--ckpt_path={trained}", "--export=model.onnx"), module())
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.startswith("val/accuracy"))
    dense, after, change = map(float, row.split()[1:])
    assert after - dense == pytest.approx(change, abs=2e-4)
    assert "the outputs differ by" in said[said.index("model.onnx: ") :]
    images = torch.rand(5, 1, 8, 8)
    (found,) = InferenceSession("model.onnx").run(
        None, {InferenceSession("model.onnx").get_inputs()[0].name: images.numpy()}
    )
    assert torch.allclose(torch.from_numpy(found), small.eval()(images), atol=1e-4)
    profile = json.loads(next(Path("runs/compress").glob("**/profile.json")).read_text())
    assert profile["sizes"]["flops"] * profile["fewer_flops"] == pytest.approx(profile["against"]["flops"])


def test_a_dry_run_prints_a_config_that_keeps_what_the_user_has_chosen(trained, capsys):
    own = yaml.safe_load(CONFIG) | {
        "pruning": {"criterion": "l2_norm", "cycles": 9, "prunable": {"class_path": "Prunable", "init_args": {}}},
        "policy": "FineTune",
        "start": {"class_path": "WeightRewind", "init_args": {"to": 0}},
    }
    Path("own.yaml").write_text(yaml.safe_dump(own))
    capsys.readouterr()
    main(["compress", "--config=own.yaml", f"--ckpt_path={trained}", "--cycles=3", "--speedup=8", "--dry-run"])
    made = yaml.safe_load(capsys.readouterr().out)
    assert made["model"] == own["model"]
    assert made["policy"] == "FineTune"
    assert made["pruning"]["criterion"] == "l2_norm"
    assert made["pruning"]["prunable"] == own["pruning"]["prunable"]
    assert made["pruning"]["cycles"] == 3
    assert made["pruning"]["sparsity"] == {"class_path": "Geometric", "init_args": {"fraction": 0.5}}
    assert made["trainer"]["max_epochs"] == 0
    assert "start" not in made
    assert not Path("runs/compress").exists()


OWN = """
import torch
from torch import nn
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader, TensorDataset

class Own(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3), "interval": "step"}]

class OwnData(LightningDataModule):
    def __init__(self, batch_size: int = 4):
        super().__init__()
        assert batch_size == 4, "a default of another class"
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(16, 8), torch.randint(3, (16,))), 4)
"""


@pytest.fixture
def own(monkeypatch):
    """A config of somebody else's: no validation, a length in steps, callbacks, and a budget of its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("own_module.py").write_text(OWN)
    callbacks = [
        {"class_path": "IterativePruning", "init_args": {"cycles": 5, "criterion": "l2_norm"}},
        {"class_path": "Shrink", "init_args": {"at": "cycles"}},
        "CycleCheckpoint",
        "LRRewind",
    ]
    trainer = {"max_steps": 6, "accelerator": "cpu", "gradient_clip_val": 1.0, "callbacks": callbacks}
    config = {"model": "own_module.Own", "data": "own_module.OwnData", "trainer": trainer}
    Path("my.yaml").write_text(yaml.safe_dump(config))
    yield
    sys.modules.pop("own_module", None)


def test_a_config_without_validation_that_shrinks_in_cycles(own, capsys):
    words = ["--retrain=4it", "--cycles=2", "--export=model.onnx", "--trainer.enable_progress_bar=false"]
    main(["compress", "--config=my.yaml", *words])
    printed = capsys.readouterr().out
    made = yaml.safe_load(printed[: printed.index("\n\n")])
    assert made["trainer"]["callbacks"] == [
        "CycleCheckpoint",
        {"class_path": "Shrink", "init_args": {"at": "cycles", "save": "small.safetensors"}},
    ]
    assert made["policy"] == "LRRewind"
    assert made["pruning"]["criterion"] == "l2_norm"
    folder = next(Path("runs/compress").glob("**/small.safetensors")).parent
    with (folder / "rates.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert max(steps) == 6 + 2 * 4 - 1
    assert "Opened by onnxruntime, batch 1 and batch 7" in printed


def test_the_time_is_divided_if_asked_for(own, monkeypatch, capsys):
    def dry(*words):
        capsys.readouterr()
        main(["compress", "--config=my.yaml", "--dry-run", *words])
        return yaml.safe_load(capsys.readouterr().out)["pruning"]["measure"]

    assert dry() == "flops"
    assert dry("--measure=latency") == "latency"
    config = yaml.safe_load(Path("my.yaml").read_text())
    budget = {"class_path": "Latency", "init_args": {"batch": 8}}
    config["trainer"]["callbacks"][0]["init_args"]["measure"] = budget
    Path("my.yaml").write_text(yaml.safe_dump(config))
    assert dry() == dry("--measure=latency") == budget
    assert dry("--measure=flops") == "flops"
    monkeypatch.setattr(latency_in_fit, "measure_widths", fake_widths)
    words = ["--retrain=4it", "--trainer.enable_progress_bar=false", "--speedup=1.5"]
    main(["compress", "--config=my.yaml", *words])
    record = json.loads(next(Path("runs/compress").glob("**/pruning.json")).read_text())
    assert record["latency"]["latency"]["batch"] == 8
    assert record["latency_reached"]["estimate"] == pytest.approx(1 / 1.5, abs=0.05)


def fake_widths(module, call, groups, latency):
    """A table in which the time falls with the units."""
    (name,) = groups
    curve = Curve((1, 32), (1 / 32, 1.0))
    same = Curve((0.0, 1.0), (0.0, 1.0))
    return LatencyTable(latency, 1.0, {"net.0": 1.0}, {name: {"net.0": curve}}, {"net.0": 0.0}, {name: 32}, same)


def test_a_file_that_is_wrong_ends_with_1(monkeypatch):
    Path("my.yaml").write_text(CONFIG)
    done = lambda config, words, weights, export_to: export_to != Path("wrong.onnx")  # noqa: E731
    monkeypatch.setattr("lightning_prune.lab.compress.compress.compress", done)
    main(["compress", "--config=my.yaml", "--export=right.onnx"])
    with pytest.raises(SystemExit) as ended:
        main(["compress", "--config=my.yaml", "--export=wrong.onnx"])
    assert ended.value.code == 1


def test_wrong_input_is_one_message(trained, capsys):
    capsys.readouterr()
    torch.save({"weight": torch.zeros(2)}, "other.pth")
    torch.save({"note": 1}, "no_weights.pth")
    export(ConvNet(channels=1, width=8), "small.safetensors", example=torch.rand(2, 1, 8, 8))
    record = plain_record(ShrinkRecord({"network.features.0.weight": (8, 1, 3, 3)}))
    torch.save({"state_dict": state_of(trained), "shrunk": record}, "small.ckpt")
    Path("text.yaml").write_text("only words")
    Path("endless.yaml").write_text(CONFIG.replace("max_epochs: 1, ", ""))
    for words, said in (
        (["--config=nowhere.yaml"], "nowhere.yaml` does not exist"),
        (["--config=text.yaml"], "is no config"),
        (["--config=my.yaml", "--ckpt_path=nowhere.ckpt"], "`--ckpt_path nowhere.ckpt` is no file"),
        (["--config=my.yaml", "--speedup=1"], "`--speedup 1` must be above 1"),
        (["--config=my.yaml", "--speedup=fast"], "speedup"),
        (["--config=my.yaml", "--retrain=10", "--dry-run"], "`--retrain 10` is no length: give 10ep for epochs"),
        (["--config=my.yaml", "--cycles=0"], "`--cycles 0` must be at least 1"),
        (["--config=my.yaml", "--ckpt_path=other.pth"], "holds the weights of another network: Classifier needs"),
        (["--config=my.yaml", "--ckpt_path=no_weights.pth"], "holds no weights"),
        (["--config=my.yaml", "--ckpt_path=small.safetensors"], "is a small network. Give the weights of the whole"),
        (["--config=my.yaml", "--ckpt_path=small.safetensors", "--dry-run"], "is a small network. Give the weights of"),
        (["--config=my.yaml", "--ckpt_path=small.ckpt", "--dry-run"], "is a small network. Give the weights of the"),
        (["--config=my.yaml", "--ckpt_path=no_weights.pth", "--dry-run"], "holds no weights"),
        (
            ["--config=my.yaml", f"--ckpt_path={trained}", "--speedup=999"],
            "`--speedup 999` cannot be reached: 54.6 is the ",
        ),
        (["--config=my.yaml", "--measure=units"], "measure"),
        (["--config=endless.yaml", "--ckpt_path=other.pth"], "does not say how long they were trained"),
        (["--config=my.yaml", "--export=model.xyz"], "its ending says no format"),
        (["--config=my.yaml", "--export=nowhere/model.onnx"], "nowhere"),
        (["--config=my.yaml", f"--ckpt_path={trained}", "--tariner.max_epochs=2"], "tariner"),
    ):
        assert said in failure(capsys, "compress", *words, *QUIET), words
    assert not list(Path("runs").glob("compress/**/*.ckpt"))
