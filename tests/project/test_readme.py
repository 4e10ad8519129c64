"""The README's Python runs, one block after the other, on a small network."""

import re
from pathlib import Path

import pytest
import torch
from toys import Images, fit, make_trainer, toy

import lightning_prune
from lightning_prune import IterativePruning, WeightRewind

README = (Path(lightning_prune.__file__).parents[1] / "README.md").read_text()
STARTS = (Path(lightning_prune.__file__).parents[1] / "docs" / "start" / "starting_points.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def replace(text: str, old: str, new: str) -> str:
    assert old in text, f"the README no longer says {old!r}"
    return text.replace(old, new)


def block(text: str, word: str) -> str:
    """The block of Python in a text that has a word in it."""
    return next(one for one in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if word in one)


def test_the_fifth_line_says_what_makes_a_network_faster():
    said = README.splitlines()[4]
    assert "makes a network faster" in said
    assert "(docs/structures.md)" in said


@pytest.mark.filterwarnings("ignore:LRRewind replays", "ignore:The `srun` command is available")
def test_the_first_snippet_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quiet = "enable_progress_bar=False, logger=False, enable_checkpointing=False, accelerator='cpu', "
    names = {}
    exec(replace(BLOCKS[0], "limit_train_batches=8, ", f"limit_train_batches=8, {quiet}"), names)
    assert names["trainer"].current_epoch == 4 + 3 * 2
    assert capsys.readouterr().out.splitlines()[-1] == "48.4 % of the weights are zero".replace(" %", "%")


def test_the_recipes_run_and_what_they_define_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {**vars(lightning_prune), "torch": torch}
    for one in BLOCKS[1:]:
        if "Trainer" not in one and "ticket" not in one:
            exec(one, names)
    assert names["masks"].alive == int(names["network"].weight.count_nonzero()) == 200
    loaded = torch.load("own.pt", weights_only=True)["masks"]
    assert lightning_prune.load_masks(torch.nn.Linear(100, 10), loaded).sparsity == 0.8
    pruning = names["IterativePruning"](cycles=2, retrain="2ep", criterion=names["distance_from_mean"])
    trainer = make_trainer([pruning, names["LinearToZero"]()], max_epochs=1)
    trainer.fit(toy(), datamodule=Images())
    assert pruning.measured_sparsity > 0.35
    assert trainer.callback_metrics["pruning/lr_max"] > trainer.callback_metrics["pruning/lr_min"] > 0
    one_shot = names["one_shot"]
    make_trainer([one_shot], max_epochs=1).fit(toy(), datamodule=Images())
    assert one_shot.measured_sparsity == pytest.approx(0.8, abs=0.01)


def test_the_other_starting_points_are_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit([IterativePruning(cycles=0)], toy()).save_checkpoint("dense.ckpt")
    pruning = IterativePruning(cycles=2)
    fit([pruning, WeightRewind(0)], toy())

    def short(max_epochs, callbacks):
        return make_trainer(callbacks, max_epochs=min(max_epochs, 2))

    names = {**vars(lightning_prune), "Trainer": short, "pruning": pruning, "module": toy(), "data": Images()}
    for text in (README, STARTS):
        exec(replace(block(text, "dense_run="), '"15ep"', '"1ep"'), names)
    module = toy()
    names["trainer"].fit(module, datamodule=Images())
    assert sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.8**10 * 706)
    exec(block(README, "save_ticket"), {**names, "module": toy()})
    exec(block(STARTS, "save_ticket"), names)
    assert sum(int(names["module"].net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.64 * 706)


def test_a_criterion_takes_eight_lines():
    criterion = block(README, "def distance_from_mean")
    assert len([line for line in criterion.splitlines() if line.strip()]) <= 8


def test_the_readme_is_short():
    assert len(README.split()) <= 1200


def test_the_files_and_commands_it_names_exist():
    for name in re.findall(r"(?:configs|benchmarks|docs)/[\w/.]+\.(?:yaml|py|png|svg|md)", README):
        assert (Path(lightning_prune.__file__).parents[1] / name).exists(), name
    makefile = (Path(lightning_prune.__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile, target
