"""Run a study for the command line, and print its epochs, its results and its failures."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_prune.ablation.results.failed_runs import LOGS
from lightning_prune.ablation.running.engines.auto import tried_workers
from lightning_prune.ablation.study import Ablation
from lightning_prune.ablation.training.failures import DiskFull


def run_study(options: Namespace, arguments: Sequence[str]) -> None:
    """Run the study that the arguments name, and print what came out.

    Args:
        options: The arguments, parsed.
        arguments: The words of the command, without ``ablate``.
    """
    study = Ablation.from_config(options.config)
    console = Console()
    out = Path(options.out or Path("runs", "ablations", study.config.name))
    if options.dry_run:
        console.print(study.tree(out, options.store))
    console.print(_epochs(study), highlight=False)
    if options.dry_run:
        return
    words = shlex.join(["lightning-prune", "ablate", *arguments])
    cluster = {"address": options.address, "gpus": options.gpus, "cpus": options.cpus}
    try:
        study.run(
            out,
            workers=options.workers,
            engine=options.engine,
            force=options.force,
            every=options.every,
            command=words,
            store=options.store,
            errors="keep",
            **(cluster if options.engine == "ray" else {}),
        )
    except (KeyboardInterrupt, SystemExit):  # Lightning turns a KeyboardInterrupt into a SystemExit.
        sys.exit(f"\nInterrupted. Finished nodes are kept. To go on:\n  {words}")
    except DiskFull as error:
        sys.exit(f"lightning-prune ablate: {error}")
    if options.workers == "auto" and (tried := tried_workers(out)):
        console.print(Text(tried), soft_wrap=True)
    _report(study, console)
    console.print(Text(f"Written: {out / 'table.parquet'}, {out / 'table.csv'}."), soft_wrap=True)
    console.print(Text(f"A page with pictures: lightning-prune report {shlex.quote(str(out))}"), soft_wrap=True)
    if study.frame()["error"].notna().any():
        for name, details in study.failures().items():
            if details:
                console.print(Text(f"Where it was raised: {out / LOGS / name}.log"), soft_wrap=True)
        sys.exit(1)


def _epochs(study: Ablation) -> str:
    """Say how many epochs sharing saves, as far as the number is known before the training."""
    shared, alone = study.epochs
    nodes = [node for run in study.runs for node in run.nodes()]
    if any(node.at_most for node in nodes):
        return (
            f"At most {shared} epochs for at most {alone} of arms alone: which cycles are trained is decided in them."
        )
    saved = f" ({1 - shared / alone:.0%} fewer)" if shared < alone else ""
    if all(node.epochs is not None for node in nodes):
        return f"{shared} epochs for {alone} of arms alone{saved}."
    known = f"{shared} epochs for {alone} of arms alone{saved}, and" if alone else "All"
    return (
        f"{known} what goes by steps, whose epochs are not known yet. Only dense runs and cycles of whole epochs are "
        "shared (Trainer(max_epochs=...) without max_steps, retrain='15ep')."
    )


def _report(study: Ablation, console: Console) -> None:
    """Print the last cycle of every arm, and the failed runs."""
    frame = study.frame()
    tested = "test_last" if frame["test_last"].notna().any() else "val_last"
    table = Table(title=Text(f"{study.config.name}: {tested} at the end of the last cycle"))
    for name in ("arm", "density", "seeds", "mean", "95 % interval"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    summary = study.summary(tested)
    failed = frame[frame["error"].notna()].groupby("arm")["seed"].nunique()
    whole = summary[~summary["arm"].isin(failed[failed == len(study.config.seeds)].index)]
    for _, row in whole.groupby("arm", sort=False).tail(1).iterrows():
        spread = f"{row['low']:.4f} to {row['high']:.4f}" if row["seeds"] > 1 else ""
        table.add_row(Text(row["arm"]), f"{row['density']:.1%}", f"{row['seeds']:.0f}", f"{row['mean']:.4f}", spread)
    console.print(table)
    for _, row in frame[frame["error"].notna()].iterrows():
        console.print(Text(f"{row['arm']}, seed {row['seed']} failed: {row['error']}", style="red"), soft_wrap=True)
