"""Studies as the engine would leave them, without training: numbers from formulas and a fixed noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STEPS = 22  # of an epoch
DENSE, RETRAIN = 20, 10  # epochs
LAYERS = {"network.fc1.weight": 19200, "network.fc2.weight": 30000, "network.fc3.weight": 1000}
# One letter for the policy of each cycle; arms that agree so far share the cycle.
ARMS = {"lr_rewind": "rrrrr", "one_cycle": "ooooo", "switch": "oorrr", "silo": "sssss"}
LIFT = {"o": 0.004, "r": -0.004, "s": 0.003, "f": -0.02, "c": 0.0}
PEAKS = [0.03, 0.1, 0.3]


def write_study(
    out: Path,
    arms: dict[str, str] = ARMS,
    seeds: tuple[int, ...] = (0, 1, 2),
    search: tuple[str, ...] = ("silo",),
    failed: tuple[str, int, int] | None = ("switch", 1, 4),
    test: bool = True,
    rates: bool = True,
    name: str = "digits",
) -> Path:
    """Write a study of arms that share work; ``failed`` is the arm, the seed and the cycle that raised."""
    nodes: dict[str, dict] = {}
    paths, rows = [], []
    for arm, plan in arms.items():
        for seed in seeds:
            ends = failed[2] if failed and failed[:2] == (arm, seed) else None
            path = [_node(nodes, arm, seed, plan[:cycle], cycle, cycle == ends) for cycle in range(len(plan) + 1)]
            path = path if ends is None else path[: ends + 1]
            error = None if ends is None else "RuntimeError: the loss is <nan> at step 1408"
            paths.append({"arm": arm, "seed": seed, "nodes": path, "error": error})
            rows += [
                _row(nodes, arm, key, seed, cycle, plan, test, error if cycle == ends else None)
                for cycle, key in enumerate(path)
            ]
            if arm in search:
                _tries(nodes, rows[-len(path) :], arm, path)
    for key, node in nodes.items():
        _write_node(out / "nodes" / node["name"], nodes, key, rates)
    _write_arms(out, arms)
    facts: dict[str, Any] = {
        "format": 1,
        "name": name,
        "command": f"lightning-prune ablate --config configs/ablations/{name}.yaml --out {out} --workers 2",
        "metric": "val/accuracy",
        "mode": "max",
        "test_metric": "test/accuracy" if test else None,
        "version": "0.1.0",
        "seeds": list(seeds),
        "arms": [
            {
                "name": arm,
                "config": f"arms/{number}.yaml",
                "command": f"lightning-prune fit --config {out}/arms/{number}.yaml --seed_everything SEED",
                "search": {"argument": "peak", "values": PEAKS} if arm in search else None,
            }
            for number, arm in enumerate(arms)
        ],
        "paths": paths,
        "nodes": nodes,
    }
    (out / "study.json").write_text(json.dumps(facts, indent=1))
    table = pd.DataFrame(rows)
    table.to_parquet(out / "table.parquet")
    table.to_csv(out / "table.csv", index=False)
    return out


def _node(nodes: dict, arm: str, seed: int, plan: str, cycle: int, fails: bool) -> str:
    key = f"{seed}-{plan or 'dense'}{'-failed' if fails else ''}"
    parent = None if cycle == 0 else f"{seed}-{plan[:-1] or 'dense'}"
    epochs = DENSE if cycle == 0 else RETRAIN
    node = nodes.setdefault(key, {
        "parent": parent, "name": key, "seed": seed, "first": cycle, "last": cycle, "epochs": epochs,
        "seconds": None if fails else 0.9 * epochs, "status": "failed" if fails else "done", "arms": [], "tried": None,
    })  # fmt: skip
    node["arms"].append(arm)
    return key


def _tries(nodes: dict, rows: list[dict], arm: str, path: list[str]) -> None:
    for row, key in zip(rows[1:], path[1:], strict=True):
        cycle = row["cycle"]
        chosen = PEAKS[(cycle + row["seed"]) % 2]
        nodes[key]["tried"] = {"peak": chosen}
        for peak in PEAKS:
            if peak != chosen:
                other = f"{key}-peak{peak}"
                nodes[other] = {**nodes[key], "name": other, "tried": {"peak": peak}, "arms": [arm]}
        scores = [row["val_last"] - 0.03 * abs(np.log10(peak / chosen)) for peak in PEAKS]
        tried = {"argument": "peak", "values": PEAKS, "scores": scores, "chosen": chosen}
        row.update(tried=json.dumps(tried), peak_lr=chosen, epochs=3 * RETRAIN, seconds=2.7 * RETRAIN)


def _row(
    nodes: dict, arm: str, key: str, seed: int, cycle: int, plan: str, test: bool, error: str | None
) -> dict[str, Any]:
    node = nodes[key]
    of_seed, of_node = np.random.default_rng([seed]), np.random.default_rng([seed, *map(ord, plan[:cycle])])
    val = 0.965 + 0.003 * of_seed.standard_normal() + 0.0015 * of_node.standard_normal()
    val += sum(LIFT[policy] for policy in plan[:cycle]) - 0.003 * np.expm1(cycle / 2.5)
    shared = 0 if node["arms"][0] == arm else node["epochs"]
    missing = error is not None
    return {
        "arm": arm, "seed": seed, "cycle": cycle, "density": 0.8**cycle, "sparsity": 1 - 0.8**cycle,
        "val_last": np.nan if missing else val, "val_best": np.nan if missing else val + 0.003,
        "test_last": val - 0.01 if test and not missing else np.nan,
        "test_best": val - 0.009 if test and not missing else np.nan,
        "loss_last": np.nan if missing else 1.1 - val, "best_epoch": DENSE + RETRAIN * cycle - 3,
        "epochs": node["epochs"], "epochs_shared": shared,
        "seconds": node["seconds"], "seconds_shared": 0.9 * shared, "peak_lr": 0.1, "tried": None, "node": key,
        "checkpoint": f"nodes/{node['name']}/checkpoints/cycle={cycle}.ckpt", "error": error, "version": "0.1.0",
        "lightning": "2.6.6", "torch": "2.15.0", "hardware": "cpu, 2 cores",
    }  # fmt: skip


def _write_node(folder: Path, nodes: dict, key: str, rates: bool) -> None:
    folder.mkdir(parents=True)
    node, policy = nodes[key], key.split("-")[1][-1]
    cycle = node["first"]
    first = 0 if cycle == 0 else DENSE + RETRAIN * (cycle - 1)
    epochs = range(first, first + node["epochs"])
    pd.DataFrame({
        "step": [(epoch + 1) * STEPS - 1 for epoch in epochs], "epoch": list(epochs), "pruning/cycle": cycle,
        "pruning/density": 0.8**cycle, "val/accuracy": [0.96 - 0.001 * (epoch % 5) for epoch in epochs],
    }).to_csv(folder / "metrics.csv", index=False)  # fmt: skip
    if rates:
        steps = np.arange(first * STEPS, (first + node["epochs"]) * STEPS)
        curve = _rate("r" if cycle == 0 else policy, np.linspace(0, 1, len(steps)))
        pd.DataFrame({"step": steps, "lr-SGD": curve}).to_csv(folder / "rates.csv", index=False)
    (folder / "pruning.json").write_text(json.dumps(_record(cycle)))
    (folder / "config.yaml").write_text("seed_everything: 0\n")


def _rate(policy: str, way: np.ndarray) -> np.ndarray:
    if policy in "os":
        peak = 0.1 if policy == "o" else 0.06
        return np.where(way < 0.2, peak * way / 0.2 + 1e-4, peak * (1 + np.cos(np.pi * (way - 0.2) / 0.8)) / 2 + 1e-5)
    return np.where(way < 0.5, 0.1, np.where(way < 0.75, 0.01, 0.001)) if policy == "r" else np.full(len(way), 0.002)


def _record(last: int) -> dict:
    cycles = [
        {
            "cycle": cycle,
            "first_step": (DENSE + RETRAIN * (cycle - 1)) * STEPS,
            "alive": {
                name: int(size * 0.8 ** (cycle * power))
                for (name, size), power in zip(LAYERS.items(), (1.02, 1.0, 0.4), strict=True)
            },
        }
        for cycle in range(1, last + 1)
    ]
    return {
        "format": 1, "settings": {"cycles": 5}, "pruned": [{"name": n, "weights": w} for n, w in LAYERS.items()],
        "skipped": [], "cycles": cycles, "finished": True,
    }  # fmt: skip


def _write_arms(out: Path, arms: dict[str, str]) -> None:
    (out / "arms").mkdir(parents=True, exist_ok=True)
    for number, (arm, plan) in enumerate(arms.items()):
        text = f"# {arm}: cycles <{plan}>\ntrainer:\n  max_epochs: {DENSE}\n  callbacks:\n    - class_path: lightning_prune.IterativePruning\n"
        (out / "arms" / f"{number}.yaml").write_text(text)
