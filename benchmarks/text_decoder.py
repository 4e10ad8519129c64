"""Prune a small decoder of transformers to half, and say what each criterion and each retraining leaves of it.

Run with ``python benchmarks/text_decoder.py --seeds 3``. Every seed trains one dense network on the docstrings of this
package. The network loses half of the weights in each layer of its blocks, as single weights or to 2:4, and is
retrained for a tenth of the dense run. The tables have the perplexity of a character on validation text, its mean over
the seeds, and the difference to the dense network, with half of the 95 % interval of the paired differences.
"""

import argparse
import json
import logging
import math
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table
from scipy.stats import t as students_t

from lightning_prune import (
    CycleCheckpoint,
    IterativePruning,
    LinearRestart,
    LRRewind,
    MaskedLoRA,
    NofM,
    OneShot,
    Prunable,
    Reconstruct,
    criteria,
    layerwise,
    per_row,
)  # fmt: skip
from lightning_prune.criteria import InSequence, OnBatches
from lightning_prune.lab import Classifier, Docstrings, TextDecoder

COLORS = ["#999999", "#0072B2", "#D55E00", "#E69F00", "#CC79A7", "#009E73"]
BATCHES = 20  # for the criteria and the repair
BLOCKS = "network.decoder.model.layers.*"
CRITERIA: dict[str, tuple[Any, Any]] = {
    "magnitude": (criteria.magnitude, layerwise),
    "Wanda": (InSequence(OnBatches(criteria.wanda, BATCHES), BLOCKS), per_row),
    "SparseGPT": (InSequence(OnBatches(criteria.sparse_gpt, BATCHES), BLOCKS), layerwise),
}
RETRAINED: dict[str, tuple[bool, Any]] = {
    "not retrained": (False, lambda: []),
    "`Reconstruct`, not retrained": (False, lambda: [fit_to_dense()]),
    "`LRRewind`": (True, lambda: [LRRewind()]),
    "`LinearRestart`": (True, lambda: [LinearRestart()]),
    "`MaskedLoRA`": (True, lambda: [LRRewind(), MaskedLoRA(parts=["*norm*", "*lm_head*"])]),
    "`Reconstruct`, `LRRewind`": (True, lambda: [LRRewind(), fit_to_dense()]),
}
PATTERNS = {"half of each layer": {"sparsity": OneShot(0.5)}, "2:4": {"granularity": NofM(2, 4)}}


def fit_to_dense() -> Reconstruct:
    """Least squares at all positions."""
    return Reconstruct("least_squares", batches=BATCHES, positions=None)


def module(options: argparse.Namespace, seed: int) -> Classifier:
    """An untrained decoder, with AdamW and one cycle of the rate."""
    pl.seed_everything(seed, verbose=False)
    return Classifier(
        TextDecoder(width=options.width, layers=options.layers), partial(torch.optim.AdamW, lr=0.003, weight_decay=0.1),
        partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.003, pct_start=0.1), "step", "total_steps",
        classes=Docstrings.num_classes,
    )  # fmt: skip


def trainer(callbacks: list[Callback], epochs: int, folder: Path) -> pl.Trainer:
    """A trainer that shows nothing and does not validate."""
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, callbacks=callbacks, default_root_dir=folder, logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
        enable_checkpointing=bool(epochs),
    )  # fmt: skip


def perplexity(network: Classifier, data: Docstrings) -> float:
    """The perplexity of a character on the validation text."""
    network.eval()
    with torch.no_grad():
        losses = [torch.nn.functional.cross_entropy(network(x), y, reduction="sum") for x, y in data.val_dataloader()]
    return math.exp(sum(losses).item() / (len(data.validation_pieces) * data.length))


def one_seed(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, float]:
    """Train a dense network, then prune and retrain it in all ways, and return the perplexities."""
    data = Docstrings(batch_size=options.batch_size, subset=options.pieces, held_out=options.held_out)
    data.setup("fit")
    dense = module(options, seed)
    first = [IterativePruning(cycles=0), CycleCheckpoint(dirpath=str(folder))]
    trainer(first, options.epochs, folder).fit(dense, datamodule=data)
    (path,) = folder.glob("*-last.ckpt")
    found = {"dense": perplexity(dense, data)}
    length = options.epochs * math.ceil(options.pieces / options.batch_size) // 10

    def run(name: str, trains: bool, beside: list[Callback], **chosen: Any) -> None:
        clock = IterativePruning(
            cycles=1, retrain=f"{length}it" if trains else "0ep", dense_run=path, prunable=Prunable(include=BLOCKS),
            **chosen,
        )  # fmt: skip
        pruned = module(options, seed)
        trainer([clock, *beside], 0, folder).fit(pruned, datamodule=data)
        found[name] = perplexity(pruned, data)

    for policy in ("`LRRewind`", "`LinearRestart`"):
        run(f"dense, {policy}", True, RETRAINED[policy][1](), sparsity=OneShot(0.0))
    for pattern, units in PATTERNS.items():
        for criterion, (score, spread) in CRITERIA.items():
            for name, (trains, beside) in RETRAINED.items():
                chosen = {"criterion": score} | ({"allocation": spread} if "sparsity" in units else {})
                run(f"{pattern}, {criterion}, {name}", trains, beside(), **units, **chosen)
    return found


def shown(found: list[dict[str, float]], name: str) -> str:
    """The mean of an arm, and its difference to the dense network of the same seed with half of the 95 % interval."""
    values, dense = (torch.tensor([one[arm] for one in found]).double() for arm in (name, "dense"))
    differences = values - dense
    half = students_t.ppf(0.975, len(found) - 1) * differences.std() / len(found) ** 0.5 if len(found) > 1 else math.nan
    return f"{values.mean():.2f} ({differences.mean():+.2f} ± {half:.2f})"


def show(found: list[dict[str, float]]) -> None:
    """Print a table for each pattern."""
    console = Console(width=120)
    console.print(f"{len(found)} seeds. dense: {sum(one['dense'] for one in found) / len(found):.2f}")
    for pattern in PATTERNS:
        table = Table(pattern, *CRITERIA)
        for way in RETRAINED:
            names = [f"{pattern}, {criterion}, {way}" for criterion in CRITERIA]
            table.add_row(way, *(shown(found, name) for name in names))
        console.print(table)
    for name in found[0]:
        if name.startswith("dense, "):
            console.print(f"not pruned, {name.removeprefix('dense, ')}: {shown(found, name)}")


def draw(found: list[dict[str, float]], path: Path) -> None:
    """Draw how much higher the perplexity is than that of the dense network, with a point for each seed."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(PATTERNS), figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, pattern in zip(axes, PATTERNS, strict=True):
        for number, way in enumerate(RETRAINED):
            points = [
                (place + (number - 2.5) * 0.13, one[f"{pattern}, {criterion}, {way}"] - one["dense"])
                for place, criterion in enumerate(CRITERIA)
                for one in found
            ]
            axis.plot(*zip(*points, strict=True), "o", color=COLORS[number], markersize=5, label=way.replace("`", ""))
        axis.axhline(0, color="gray", linewidth=1)
        axis.set(xticks=range(len(CRITERIA)), xticklabels=CRITERIA, title=pattern)
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel("perplexity above the dense network")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure seed after seed, and print the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"seeds": 3, "epochs": 2, "pieces": 3000, "batch_size": 16, "held_out": 200, "width": 144, "layers": 2}
    for name, value in sizes.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"{value}, if not given")
    parser.add_argument("--out", type=Path, help="a file for the perplexities of every seed, in JSON")
    parser.add_argument("--picture", type=Path, help="a file for a picture of the table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    found: list[dict[str, float]] = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(one_seed(options, seed, Path(folder)))
        show(found)
        if options.out:
            options.out.write_text(json.dumps(found))
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
