"""Studies of seconds, in a folder as the repository has it, and the program run there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.claims.__main__ import main, parse

PAGE = Path("docs", "claims.md")
BASE: dict[str, Any] = {
    "trainer": {
        "max_epochs": 2,
        "accelerator": "cpu",
        "callbacks": [
            {
                "class_path": "lightning_prune.IterativePruning",
                "init_args": {
                    "cycles": 1,
                    "retrain": "1ep",
                    "sparsity": {"class_path": "lightning_prune.schedules.OneShot", "init_args": {"final": 0.5}},
                },
            }
        ],
    },
    "model": {
        "class_path": "lightning_prune.lab.Classifier",
        "init_args": {
            "network": {"class_path": "lightning_prune.lab.LeNet300100", "init_args": {"inputs": 64}},
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
            "scheduler": {
                "class_path": "torch.optim.lr_scheduler.MultiStepLR",
                "init_args": {"milestones": [1], "gamma": 0.1},
            },
        },
    },
    "data": {"class_path": "lightning_prune.lab.Digits", "init_args": {"batch_size": 64, "subset": 320}},
}
TUNED = {"callbacks": "FineTune"}
REPLAYED = {"callbacks": {"class_path": "LRRewind", "init_args": {"to": "1ep"}}}
# Its first cycle is the one-shot arm's: trained once.
HALVED = {
    "cycles": 2,
    "sparsity": {"class_path": "lightning_prune.schedules.Geometric", "init_args": {"fraction": 0.5}},
}
REWINDING = {
    f"{name}, {how}": {**changes, **more}
    for how, more in (("one-shot", {}), ("iterative", HALVED))
    for name, changes in (("fine-tuning", TUNED), ("LR rewinding", REPLAYED))
}


def write_study(name: str, arms: dict[str, Any], seeds: int, **others: Any) -> None:
    """Write a study and its base into this folder."""
    folder = Path("configs", "claims", "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "digits.yaml").write_text(yaml.safe_dump(BASE))
    study = {"base": "digits.yaml", "seeds": seeds, "arms": arms, **others}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def run(*arguments: str) -> str:
    """Run the program here; the page that it wrote."""
    main(parse([*arguments, "--workers", "0"]))
    return PAGE.read_text()


def section(page: str, number: int) -> str:
    """What the page says of a claim."""
    (found,) = [part for part in page.split("\n## ")[1:] if part.startswith(f"{number}. ")]
    return found


def cells(text: str, first: str) -> Sequence[str]:
    """The row of a table that begins with a cell."""
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip().strip("*") for cell in row.strip("|").split("|")][1:]
