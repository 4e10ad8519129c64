"""What a config means does not depend on what else a program imports, or in which order."""

import subprocess
import sys

import pytest

PLAN = """
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.planning.resolving import parse
base = {"trainer": {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 0.5, "callbacks": [
        {"class_path": "lightning_prune.IterativePruning", "init_args": {"cycles": 1, "retrain": "1ep"}}]},
        "model": {"class_path": "lightning_prune.lab.Classifier", "init_args": {
            "network": {"class_path": "lightning_prune.lab.LeNet300100", "init_args": {"inputs": 64}}}},
        "data": {"class_path": "lightning_prune.lab.Digits"}}
run = Ablation.from_config({"base": base, "seeds": 1, "arms": {"one": {}}}).runs[0]
trainer = parse(base, "here").trainer
print([node.name for node in run.nodes()], repr(trainer.limit_train_batches), repr(trainer.limit_val_batches))
"""


def planned(first: str) -> str:
    return subprocess.run([sys.executable, "-c", first + PLAN], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_one_batch_stays_one_batch_and_nodes_keep_their_names_whatever_was_imported_before() -> None:
    # rich writes `float | int` where Lightning writes `int | float`, and Python keeps whichever came first for both:
    # read as 1.0, one batch is all batches.
    said = planned("")
    assert said.endswith(" 1 0.5\n")
    assert planned("import rich.console\n") == said
