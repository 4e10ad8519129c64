"""The command line, run in an empty folder."""

from pathlib import Path

import pytest
import torch

from lightning_prune.cli import main

QUICK = ["--trainer.limit_train_batches=4", "--trainer.limit_val_batches=1", "--trainer.log_every_n_steps=2"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> str:
    Path("config.yaml").write_text(text)
    return "config.yaml"


def failure(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


PRUNING = """
trainer:
  max_epochs: {dense}
  callbacks:
    - {{class_path: IterativePruning, init_args: {{cycles: {cycles}, retrain: 2ep}}}}
    - {{class_path: lightning_prune.WeightRewind, init_args: {{to: {to}}}}}
    - {{class_path: FineTune}}
"""


def without_half(path: Path) -> Path:
    """Set half of the units of the first layer of a small ConvNet to zero in a checkpoint."""
    saved = torch.load(path, weights_only=True)
    state = saved["state_dict"]
    for name, dim in (
        ("features.0.weight", 0),
        ("features.1.weight", 0),
        ("features.1.bias", 0),
        ("features.4.weight", 1),
    ):
        state[f"network.{name}"].index_fill_(dim, torch.tensor([1, 2]), 0)
    torch.save(saved, path)
    return path
