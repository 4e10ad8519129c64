"""Each config in configs/transformers trains, prunes and retrains a decoder, made small, from the command line."""

from pathlib import Path

import pytest
import torch
from command_line_runs import in_an_empty_folder  # noqa: F401

from lightning_prune.basics.config_files import shipped_names
from lightning_prune.cli import main

CONFIGS = [name for name in shipped_names() if name.startswith("transformers/")]
SMALL = [
    "--trainer.max_epochs=1",
    "--pruning.retrain=1it",
    "--model.network.width=16",
    "--model.network.layers=1",
    "--data.subset=16",
    "--data.held_out=4",
]

pytest.importorskip("transformers")


@pytest.mark.parametrize("name", [CONFIGS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in CONFIGS[1:])])
def test_a_config_runs_for_one_batch(name):
    main(["fit", f"--config={name}", *SMALL])
    weights = torch.load(next(Path("runs").rglob("last.ckpt")), weights_only=True)["state_dict"]
    inner = [one for name, one in weights.items() if ".layers." in name and one.dim() == 2]
    assert [one.count_nonzero() / one.numel() for one in inner] == [0.5] * 7


def test_the_four_are_there():
    assert {name.split("/")[1] for name in CONFIGS} == {"masked_lora", "reconstruct", "sparse_gpt", "wanda"}
