"""An arm of a study against the same run alone."""

import torch
from studies import study, weights_of

from lightning_prune.ablation import Ablation
from lightning_prune.lab.cli.command_line import CommandLine


def alone(tmp_path, config):
    """Train a config by itself, as `lightning-prune fit` does."""
    log = f"--trainer.logger.save_dir={tmp_path / 'alone'}"
    command = CommandLine([f"--config={config}", "--trainer.enable_progress_bar=false", log], run=False)
    command.trainer.fit(command.model, datamodule=command.datamodule)
    return command.model.state_dict()


def assert_exact(tmp_path, arms, **others):
    ablation = Ablation.from_config(study({"first": {}, **arms}, **others))
    frame = ablation.run(tmp_path / "out", workers=0)
    assert frame["error"].isna().all(), frame["error"].dropna().tolist()
    for arm in arms:
        shared = weights_of(tmp_path / "out" / frame[frame["arm"] == arm]["checkpoint"].iloc[-1])
        expected = alone(tmp_path, tmp_path / "out" / "arms" / f"{arm}-seed=0.yaml")
        assert shared.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(shared[name], tensor), f"{arm}: {name}"
    return frame
