"""What a seed of a study is: another run in everything that draws."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_prune.ablation import Ablation

BASE = {
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "limit_train_batches": 1, "limit_val_batches": 1, "callbacks": [
        {"class_path": "lightning_prune.IterativePruning", "init_args": {"cycles": 1, "retrain": "1ep"}}]},
    "model": {"class_path": "lightning_prune.lab.Classifier", "init_args": {
        "network": {"class_path": "lightning_prune.lab.LeNet300100", "init_args": {"inputs": 64}},
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e-12}}}},
    "data": {"class_path": "lightning_prune.lab.Digits", "init_args": {"batch_size": 64, "validation": 0.1}},
}  # fmt: skip
DRAWS = ["Reinitialize", "ScratchTrain"]


def bias_of(folder: Path, arm: str, seed: int, frame: Any) -> torch.Tensor:
    """Biases are drawn anew and not pruned; at this rate they stay what was drawn."""
    row = frame[(frame["arm"] == arm) & (frame["seed"] == seed) & (frame["cycle"] == 1)].iloc[0]
    state = torch.load(folder / row["checkpoint"], weights_only=True)["state_dict"]
    return next(value for name, value in state.items() if name.endswith("bias"))


@pytest.mark.parametrize("draws", DRAWS)
def test_a_control_draws_other_weights_with_every_seed(draws: str, tmp_path: Path) -> None:
    study = Ablation.from_config({"base": BASE, "seeds": 2, "arms": {"control": {"callbacks": draws, "retrain": None}}})
    frame = study.run(tmp_path, workers=0)
    assert frame["error"].isna().all()
    first, second = (bias_of(tmp_path, "control", seed, frame) for seed in (0, 1))
    assert not first.allclose(second, atol=1e-3)


@pytest.mark.parametrize("draws", DRAWS)
def test_a_seed_that_the_user_gives_stays(draws: str) -> None:
    arm = {"callbacks": {"class_path": draws, "init_args": {"seed": 7}}, "retrain": None}
    runs = Ablation.from_config({"base": BASE, "seeds": 2, "arms": {"control": arm}}).runs
    given = [run.resolved.config["trainer"]["callbacks"] for run in runs]
    drawn = [one["init_args"]["seed"] for callbacks in given for one in callbacks if one["class_path"].endswith(draws)]
    assert drawn == [7, 7]
    clocks = [one["init_args"]["seed"] for callbacks in given for one in callbacks if "Iterative" in one["class_path"]]
    assert clocks == [0, 1]
