"""Runs as the callbacks would log them, without training: numbers from formulas."""

import json
import math
from pathlib import Path

import pandas as pd

STEPS_PER_EPOCH = 22
LAYERS = {"network.fc1.weight": (300, 64), "network.fc2.weight": (100, 300), "network.fc3.weight": (10, 100)}
BIASES = {"network.fc1.bias": 300, "network.fc2.bias": 100, "network.fc3.bias": 10}
WEIGHTS = sum(math.prod(shape) for shape in LAYERS.values())


def write_run(
    folder: Path,
    cycles: int = 14,
    dense: int = 30,
    retrain: int = 15,
    loss_of_accuracy: float = 0.02,
    peak: float = 0.1,
    accuracy: str = "val/accuracy",
    record: bool = True,
    finished: bool = True,
    tested: bool = False,
) -> Path:
    """Write metrics.csv and pruning.json of a run; cycle k keeps 0.8^k of the weights."""
    folder.mkdir(parents=True)
    rows = [row for epoch in range(dense + cycles * retrain) for row in _epoch(epoch, dense, retrain, peak)]
    for row in rows:
        if "pruning/cycle" in row:
            row[accuracy] = 0.97 - loss_of_accuracy * math.expm1(row["pruning/cycle"] / 5) + 0.001 * (row["epoch"] % 3)
            row[accuracy.replace("val", "train")] = 0.99
    if tested:
        rows.append({"step": 0, "epoch": 0, "test/accuracy": 0.93, "test/loss": 0.2})
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    if record:
        (folder / "pruning.json").write_text(json.dumps(_record(cycles, dense, retrain, finished)))
    return folder


def _epoch(epoch: int, dense: int, retrain: int, peak: float) -> list[dict]:
    cycle, position = (0, epoch / dense) if epoch < dense else divmod(epoch - dense, retrain)
    if epoch >= dense:
        cycle, position = cycle + 1, position / retrain
    rate = peak * (1.0 if position < 0.5 else 0.1 if position < 0.75 else 0.01)
    first, last = epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH - 1
    rows: list[dict] = []
    if cycle and not position:
        rows.append({"step": first, **{f"pruning/density/{name}": _density(name, cycle) for name in LAYERS}})
    rows += [{"step": step, "lr-SGD": rate} for step in range(first, last, 10)]
    density = 0.8**cycle
    pruning = {
        "cycle": cycle,
        "density": density,
        "sparsity": 1 - density,
        "model_density": (density * WEIGHTS + 410) / (WEIGHTS + 410),
        "seconds": 0.08,
        "lr_min": rate,
        "lr_max": rate,
    }
    losses = {"train/loss": 0.05 + 0.01 * cycle, "val/loss": 0.1 + 0.02 * cycle}
    rows.append({"step": last, "epoch": epoch, **{f"pruning/{key}": value for key, value in pruning.items()}, **losses})
    return rows


def _density(name: str, cycle: int) -> float:
    return 0.8 ** (cycle * {"network.fc1.weight": 1.02, "network.fc2.weight": 1.0}.get(name, 0.4))


def _record(cycles: int, dense: int, retrain: int, finished: bool) -> dict:
    pruned = [{"name": name, "shape": shape, "weights": math.prod(shape)} for name, shape in LAYERS.items()]
    entries = [
        {
            "cycle": cycle,
            "first_step": (dense + (cycle - 1) * retrain) * STEPS_PER_EPOCH,
            "first_epoch": dense + (cycle - 1) * retrain,
            "steps": retrain * STEPS_PER_EPOCH,
            "sparsity": 1 - 0.8**cycle,
            "alive": {tensor["name"]: int(tensor["weights"] * _density(tensor["name"], cycle)) for tensor in pruned},
            "seconds": 0.01,
        }
        for cycle in range(1, cycles + 1)
    ]
    return {
        "format": 1,
        "version": "0.1.0",
        "settings": {
            "cycles": cycles if finished else cycles + 3,
            "retrain": f"{retrain}ep",
            "sparsity": "Geometric(fraction=0.2)",
            "criterion": "lightning_prune.criteria.magnitude",
            "allocation": "lightning_prune.allocation.globally",
            "learning_rate": "LRRewind(to=None)",
            "weights": "kept",
        },
        "dense": f"{dense}ep",
        "model_weights": WEIGHTS + 410,
        "prunable_weights": WEIGHTS,
        "pruned": pruned,
        "skipped": [{"name": name, "weights": weights, "reason": "a bias"} for name, weights in BIASES.items()],
        "cycles": entries,
        "finished": finished,
    }
