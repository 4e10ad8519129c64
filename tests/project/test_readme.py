"""The README's Python runs, one block after the other, on a small network."""

import re
from pathlib import Path

from toys import Images, fit, make_trainer, toy

import lightning_prune
from lightning_prune import IterativePruning, WeightRewind

README = (Path(lightning_prune.__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def replace(text: str, old: str, new: str) -> str:
    assert old in text, f"the README no longer says {old!r}"
    return text.replace(old, new)


def test_every_block_runs_and_what_it_defines_works():
    names = {"module": toy(), "datamodule": Images()}
    quiet = "logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, "
    elsewhere = ("dense_run=", "ticket", "Ablation")  # run by the next test, and by ablation/test_study_in_readme.py
    others = [block for block in BLOCKS[1:] if not any(word in block for word in elsewhere)]
    blocks = [replace(BLOCKS[0], "max_epochs=30, ", f"max_epochs=2, accelerator='cpu', {quiet}"), *others]
    blocks[0] = replace(blocks[0], '"15ep"', '"1ep"')
    for block in blocks:
        exec(block, names)
    assert names["trainer"].current_epoch == 12
    alive = sum(int(names["module"].net[i].weight.count_nonzero()) for i in (0, 4, 7))
    assert alive == round(0.8**10 * 706)

    pruning = names["IterativePruning"](cycles=2, retrain="2ep", criterion=names["distance_from_mean"])
    trainer = make_trainer([pruning, names["LinearToZero"](), names["Announce"]()], max_epochs=1)
    trainer.fit(toy(), datamodule=Images())
    assert pruning.measured_sparsity > 0.35
    assert trainer.callback_metrics["pruning/lr_max"] > trainer.callback_metrics["pruning/lr_min"] > 0


def test_the_other_starting_points_are_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit([IterativePruning(cycles=0)], toy()).save_checkpoint("dense.ckpt")
    pruning = IterativePruning(cycles=2)
    fit([pruning, WeightRewind(0)], toy())

    def short(max_epochs, callbacks):
        return make_trainer(callbacks, max_epochs=min(max_epochs, 2))

    names = {**vars(lightning_prune), "Trainer": short, "pruning": pruning, "module": toy(), "data": Images()}
    exec(replace(next(block for block in BLOCKS if "dense_run=" in block), '"15ep"', '"1ep"'), names)
    module = toy()
    names["trainer"].fit(module, datamodule=Images())
    assert sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.8**10 * 706)
    exec(next(block for block in BLOCKS if "ticket" in block), names)
    assert sum(int(names["module"].net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.64 * 706)


def test_a_criterion_takes_eight_lines():
    criterion = next(block for block in BLOCKS if "def distance_from_mean" in block)
    assert len([line for line in criterion.splitlines() if line.strip()]) <= 8


def test_the_files_and_commands_it_names_exist():
    for name in re.findall(r"(?:configs|benchmarks|docs)/[\w/.]+\.(?:yaml|py|png)", README):
        assert (Path(lightning_prune.__file__).parents[1] / name).exists(), name
    makefile = (Path(lightning_prune.__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile, target
