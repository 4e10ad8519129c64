"""Report runs: print their tables, and write them as CSV files with a page and its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from lightning_prune.ablation.report.arm_names import drawable
from lightning_prune.ablation.report.page import write_page
from lightning_prune.ablation.report.picture_files import print_files, write_pictures
from lightning_prune.ablation.report.report_command import draw_runs
from lightning_prune.ablation.report.runs_as_study import head_of_runs, study_of
from lightning_prune.basics.file_names import METRICS, RECORD
from lightning_prune.lab.metric_names import Columns, choose_columns
from lightning_prune.lab.report import cycle_table as table
from lightning_prune.lab.report import evaluations as results
from lightning_prune.lab.report import layout, terminal
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.read_run import read_runs, require_numbers
from lightning_prune.lab.report.report_file import require_folder, write_report_file
from lightning_prune.lab.visible import visible

CYCLES, SKIPPED, COMPARISON, PAGE = "cycles.csv", "skipped.csv", "comparison.csv", "index.html"


@dataclass(frozen=True)
class Summary:
    """A run with its tables."""

    run: Run
    columns: Columns
    cycles: pd.DataFrame

    @property
    def curve(self) -> pd.Series:
        """The metric over the density, named after the metric."""
        return self.cycles.set_index("density")[self.columns.metric]


def report_runs(
    paths: Sequence[Path], out: Path | None = None, metric: str | None = None, console: Console | None = None
) -> Path:
    """Print the tables of one or several runs, and write the tables, the pictures and a page to files.

    Args:
        paths: Run folders, or parents of ``version_*`` folders. Several runs are compared.
        out: The folder for the files. None: ``report`` in the run's folder, or in the working directory for several
            runs.
        metric: The logged column by which runs are judged. None: the validation accuracy or loss.
        console: The console for the tables. None: the terminal.

    Returns:
        The folder with the files.

    Raises:
        FileNotFoundError: If a path is not a run.
        ValueError: If a run logged nothing about pruning, or did not log ``metric``, or files cannot go to ``out``.
    """
    console = console or terminal.report_console()
    runs = read_runs(paths)
    folder = require_folder(out or (runs[0].folder / "report" if len(runs) == 1 else Path("report")))
    summaries = [_summarize(run, metric) for run in runs]
    tables = _report_one(summaries[0], folder, console) if len(runs) == 1 else _compare(summaries, folder, console)
    print_files(console, *_write_page(summaries, folder, tables), tables)
    return folder


def _summarize(run: Run, metric: str | None) -> Summary:
    columns = choose_columns([str(name) for name in run.rows], metric)
    require_numbers(run.folder / METRICS, run.rows, columns.logged())
    return Summary(run, columns, table.cycle_table(run, columns))


def _report_one(summary: Summary, folder: Path, console: Console) -> list[Path]:
    run, skipped = summary.run, table.skipped_table(summary.run)
    console.print(layout.cycles(f"{run.name} ({run.folder})", summary.cycles, summary.columns, console.width))
    for note in _notes(summary):
        console.print(visible(note), highlight=False, markup=False)
    if not skipped.empty:
        console.print(layout.skipped(skipped))
    contents = {folder / CYCLES: summary.cycles, folder / SKIPPED: skipped}
    return [write_report_file(path, content.to_csv(index=False)) for path, content in contents.items()]


def _notes(summary: Summary) -> list[str]:
    notes = [
        terminal.progress_of(summary.run),
        f"Judged by {summary.columns.metric}." if summary.columns.metric else "No validation metric was logged.",
        *results.sentences(summary.run),
        f"There is no {RECORD} beside {METRICS}: what is not pruned is unknown." if not summary.run.record else None,
    ]
    return [note for note in notes if note is not None]


def _compare(summaries: Sequence[Summary], folder: Path, console: Console) -> list[Path]:
    """Print the runs side by side, and write the same numbers to files."""
    for summary in summaries:
        for note in [terminal.progress_of(summary.run), *results.sentences(summary.run)]:
            if note is not None:
                console.print(visible(f"{summary.run.name}: {note}"), highlight=False, markup=False)
    every = pd.concat([one.cycles.assign(run=one.run.name) for one in summaries], ignore_index=True)
    every = every[["run", *(name for name in every if name != "run")]]
    written = [write_report_file(folder / CYCLES, every.to_csv(index=False))]
    curves = {summary.run.name: summary.curve for summary in summaries if summary.columns.metric is not None}
    if not curves:
        console.print("No validation metric was logged.")
        return written
    compared = table.comparison_table(curves)
    metrics = list(dict.fromkeys(str(curve.name) for curve in curves.values()))
    for metric in metrics:
        runs = [name for name, curve in curves.items() if curve.name == metric]
        console.print(layout.comparison(compared[runs].dropna(how="all"), metric, console.width))
    if len(metrics) > 1:
        said = f"The runs are judged by {', '.join(metrics)}: --metric chooses one for all."
        console.print(visible(f"{said} The page shows {metrics[0]}."), highlight=False, markup=False)
        compared = compared.rename(columns={name: f"{name} {curve.name}" for name, curve in curves.items()})
    return [write_report_file(folder / COMPARISON, compared.to_csv()), *written]


def _write_page(summaries: Sequence[Summary], folder: Path, tables: Sequence[Path]) -> tuple[Path, list[Path]]:
    """Write the page of the runs and its pictures. Names of runs are made drawable."""
    runs = [_renamed(summary.run) for summary in summaries]
    study = study_of(runs, [summary.cycles for summary in summaries], [summary.columns for summary in summaries])
    pictures = draw_runs(study, {run.name: run for run in runs})
    page = write_page(folder / PAGE, study, pictures, head_of_runs(study, runs), tables)
    return page, write_pictures(folder, pictures)


def _renamed(run: Run) -> Run:
    return Run(drawable(run.name), run.folder, run.rows, run.record, run.rates, run.results)
