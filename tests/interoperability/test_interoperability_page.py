"""docs/interoperability.md is true: each recipe runs as it stands, and does what its words say."""

import re
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch

import lightning_prune

PAGE = (Path(lightning_prune.__file__).parents[1] / "docs" / "interoperability.md").read_text()
BEFORE, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
RECIPES = {
    section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL) for section in SECTIONS
}
(SHARED,) = re.findall(r"```python\n(.*?)```", BEFORE, flags=re.DOTALL)
QUIET = "pl.Trainer(enable_progress_bar=False, enable_model_summary=False, accelerator='cpu', "


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the recipe whose heading has this word, and return its names."""
    monkeypatch.chdir(tmp_path)

    def of(word, *parts):
        (blocks,) = (blocks for heading, blocks in RECIPES.items() if word in heading)
        names = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other libraries
            for block in (SHARED, *(blocks[part] for part in parts or range(len(blocks)))):
                exec(block.replace("pl.Trainer(", QUIET), names)
        return names

    return of


def zeros(module):
    return sum(int((one == 0).sum()) for one in module.parameters() if one.dim() > 1)


def cycles_in(paths):
    """The cycles of which both a picture and a table were written."""
    names = {path.name for path in paths}
    return {number for number in range(9) if {f"cycle-{number}.png", f"cycle-{number}.csv"} <= names}


@pytest.mark.slow
def test_weights_and_biases_keeps_pictures_and_tables_without_a_network(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    names = run("Weights & Biases", 0, 1)
    assert cycles_in(tmp_path.glob("cycles/*")) == {1, 2}
    kept = [path for path in (tmp_path / "WANDB_DATA_DIR").rglob("*") if path.is_file()]
    tables = [path for path in kept if path.read_bytes().startswith(b"tensor,density")]
    assert len(tables) == 2, "copied, so that they can be uploaded later"
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert names["trainer"].current_epoch == 4


@pytest.mark.slow
def test_mlflow_keeps_pictures_and_tables_without_a_server(run, tmp_path):
    pytest.importorskip("mlflow", reason="pip install mlflow-skinny")
    logger = run("Weights & Biases", 0, 2)["mlflow_logger"]
    found = [Path(one.path) for one in logger.experiment.list_artifacts(logger.run_id, "cycles")]
    assert cycles_in(found) == {1, 2}
    (table,) = tmp_path.glob("mlartifacts/**/cycle-2.csv")
    left = pd.read_csv(table)
    assert 0 < left["density"].min() < left["density"].max() <= 1
    (density,) = {
        one.value for one in logger.experiment.get_metric_history(logger.run_id, "pruning/density") if one.value < 0.65
    }
    assert density == pytest.approx(0.64, abs=0.01)


@pytest.mark.slow
def test_optuna_stops_poor_trials_and_finds_a_rate(run):
    study = run("Optuna")["study"]
    states = [trial.state.name for trial in study.trials]
    assert set(states) == {"PRUNED", "COMPLETE"}
    assert all(len(trial.intermediate_values) < 3 for trial in study.trials if trial.state.name == "PRUNED")
    assert study.best_params["max_lr"] < 10


def test_a_saved_model_of_transformers_keeps_its_zeros(run):
    names = run("Hugging Face")
    assert names["masks"].sparsity == pytest.approx(0.9, abs=0.001)
    first, second = names["model"], names["again"]
    assert all(
        bool((b[a == 0] == 0).all())
        for a, b in zip(first.parameters(), second.parameters(), strict=True)
        if a.dim() > 1
    )


def test_a_masked_network_is_exported(run):
    names = run("torch.export")
    assert zeros(names["loaded"]) == zeros(names["network"]) == round(0.8 * (8 * 64 + 64 * 3))


def test_the_script_for_timm_prunes_in_cycles(run):
    pytest.importorskip("timm")
    names = run("timm")
    assert RECIPES[next(heading for heading in RECIPES if "timm" in heading)][1].count("\n") == 10
    masks = names["masks"]
    assert masks.prunes == 3
    assert masks.sparsity == pytest.approx(0.9, abs=0.001)
    weights = dict(names["model"].named_parameters())
    for name, mask in masks.items():
        assert not weights[name][~mask].any()
        assert not names["optimizer"].state[weights[name]]["exp_avg"][~mask].any()


def test_fabric_trains_and_saves_a_sparse_network(run):
    names = run("Fabric")
    network, masks = names["network"], names["masks"]
    assert zeros(network) == zeros(names["resumed"]) == masks.size - masks.alive
    assert masks.prunes == 2
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), names["resumed"].parameters(), strict=True))
    assert all("_forward_module" not in name for name in masks)


@pytest.mark.parametrize("when", ["before", "after"])
def test_fabric_may_wrap_the_network_before_or_after_it_is_pruned(when):
    from lightning.fabric import Fabric
    from torch import nn

    network = nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    masks = lightning_prune.prune(network, sparsity=0.5) if when == "before" else None
    model, wrapped = Fabric(accelerator="cpu").setup(network, optimizer)
    assert masks is None or lightning_prune.prune(model, sparsity=0.5) is masks
    masks = lightning_prune.prune(model, sparsity=0.75)
    assert masks is lightning_prune.prune(network, sparsity=0.75)
    masks.hold(optimizer if when == "before" else wrapped)
    for _ in range(3):
        model(torch.rand(4, 8)).sum().backward()
        wrapped.step()
    assert zeros(network) == 48
    lightning_prune.forget_masks(model)
    assert lightning_prune.prune(network, sparsity=0.75) is not masks


def test_a_plain_loop_keeps_the_network_sparse(run):
    assert run("plain loop")["masks"].sparsity == pytest.approx(0.8, abs=0.002)


def test_no_recipe_is_long_and_none_is_left_out():
    assert len(RECIPES) == 7
    for heading, blocks in RECIPES.items():
        assert blocks, heading
        assert all(block.count("\n") <= 30 for block in blocks), heading
