"""Arms with moving masks stand in a study beside iterative pruning: with their own density, and their own nodes."""

import pytest
from tiny_studies import BASE

from lightning_prune import RigL
from lightning_prune.ablation import Ablation

PLAIN = {**BASE, "trainer": {"max_epochs": 2, "accelerator": "cpu"}}


def test_arms_with_moving_masks_are_trained_apart_and_have_their_density(tmp_path):
    acdc = {"class_path": "ACDC", "init_args": {"sparsity": 0.9, "prune_at": [1]}}
    arms = {"dense": {}, "rigl": [RigL(sparsity=0.8, every="2it")], "acdc": {"trainer.callbacks": [acdc]}}
    study = Ablation(base=PLAIN, arms=arms, seeds=1)
    assert len({run.nodes()[0].key for run in study.runs}) == 3
    frame = study.run(tmp_path / "out", workers=0).set_index("arm")
    assert dict(frame["density"]) == pytest.approx({"dense": 1.0, "rigl": 0.2, "acdc": 0.1}, abs=1e-4)
    assert frame.loc["acdc", "best_epoch"] == 2, "the best of the sparse phase"
