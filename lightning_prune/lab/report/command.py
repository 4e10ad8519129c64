"""``lightning-prune report RUN [RUN ...]``: tables on the terminal, the same as CSV, and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jsonargparse import ArgumentParser
from rich.console import Console

from lightning_prune.lab.report import pictures, table, terminal
from lightning_prune.lab.report.names import Columns, choose_columns
from lightning_prune.lab.report.reading import RECORD, Run, read_runs

HELP = "Show what runs amount to: a table per cycle, CSV files and pictures."


@dataclass(frozen=True)
class Summary:
    """A run with what was made of it."""

    run: Run
    columns: Columns
    cycles: pd.DataFrame

    @property
    def curve(self) -> pd.Series:
        """The metric over the density, named after the metric."""
        return self.cycles.set_index("density")[self.columns.metric]


def report_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune report``."""
    parser = ArgumentParser(prog="lightning-prune report", description=HELP)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the folder with metrics.csv, or its parent")
    parser.add_argument(
        "--metric", type=str | None, help="the column to judge by, such as val/accuracy (default: the first that fits)"
    )
    parser.add_argument(
        "--out", type=str | None, help="where files go (default: RUN/report; for several runs: ./report)"
    )
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments and report."""
    options = report_parser().parse_args(list(arguments))
    report([Path(run) for run in options.runs], out=options.out and Path(options.out), metric=options.metric)


def report(
    paths: Sequence[Path], out: Path | None = None, metric: str | None = None, console: Console | None = None
) -> Path:
    """Print the tables of one or several runs, and write them and the pictures to files.

    Args:
        paths: Run folders, or parents of ``version_*`` folders.
        out: Where files go; left out, ``report`` in the run's folder, or in the working directory for several runs.
        metric: The logged column to judge by; left out, the validation accuracy or loss.
        console: Where tables are printed; left out, the terminal.

    Returns:
        The folder that the files are in.

    Raises:
        FileNotFoundError: If a path is not a run.
        ValueError: If a run logged nothing about pruning, or did not log ``metric``.
    """
    console = console or terminal.report_console()
    runs = read_runs(paths)
    folder = out or (runs[0].folder / "report" if len(runs) == 1 else Path("report"))
    summaries = [_summarise(run, metric) for run in runs]
    written = []
    for summary in summaries:
        written += _report_one(summary, folder if len(runs) == 1 else folder / summary.run.name, console)
    if len(runs) > 1:
        written += _compare(summaries, folder, console)
    console.print("Pictures:", *written, sep="\n  ", soft_wrap=True, highlight=False)
    return folder


def _summarise(run: Run, metric: str | None) -> Summary:
    columns = choose_columns([str(name) for name in run.rows], metric)
    return Summary(run, columns, table.cycle_table(run, columns))


def _report_one(summary: Summary, folder: Path, console: Console) -> list[Path]:
    run, skipped = summary.run, table.skipped_table(summary.run)
    console.print(terminal.cycles(f"{run.name} ({run.folder})", summary.cycles, summary.columns))
    for note in _notes(summary):
        console.print(note, highlight=False)
    if not skipped.empty:
        console.print(terminal.skipped(skipped))
    folder.mkdir(parents=True, exist_ok=True)
    summary.cycles.to_csv(folder / "cycles.csv", index=False)
    skipped.to_csv(folder / "skipped.csv", index=False)
    return _draw(summary, folder)


def _notes(summary: Summary) -> list[str]:
    tested = table.results_of_testing(summary.run).items()
    results = ", ".join(f"{name} {terminal.score(name, value)}" for name, value in tested)
    notes = [
        terminal.progress_of(summary.run),
        f"Judged by {summary.columns.metric}." if summary.columns.metric else "No validation metric was logged.",
        f"Test: {results}." if results else None,
        f"There is no {RECORD} beside metrics.csv: what is not pruned is unknown." if not summary.run.record else None,
    ]
    return [note for note in notes if note is not None]


def _draw(summary: Summary, folder: Path) -> list[Path]:
    layers = table.layer_table(summary.run)
    written = []
    if summary.columns.metric is not None:
        curves = {summary.run.name: summary.curve}
        written.append(pictures.accuracy_over_density(folder / "accuracy_over_density.png", curves))
    if table.rate_curves(summary.run):
        written.append(pictures.learning_rate(folder / "learning_rate.png", summary.run))
    if not layers.empty:
        written.append(pictures.density_per_layer(folder / "density_per_layer.png", layers))
    return written


def _compare(summaries: Sequence[Summary], folder: Path, console: Console) -> list[Path]:
    judged = [summary for summary in summaries if summary.columns.metric is not None]
    metrics = [str(summary.columns.metric) for summary in judged]
    if not judged:
        return []
    compared = table.comparison_table(
        [summary.cycles for summary in judged], [summary.run.name for summary in judged], metrics
    )
    console.print(terminal.comparison(compared, metrics))
    compared.to_csv(folder / "comparison.csv")
    curves = {summary.run.name: summary.curve for summary in judged}
    return [pictures.accuracy_over_density(folder / "comparison.png", curves)]
