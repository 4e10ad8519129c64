"""Report runs: print their tables, and write them as CSV files with pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from lightning_prune.basics.file_names import METRICS, RECORD
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.metric_names import Columns, choose_columns
from lightning_prune.lab.report import cycle_table as table
from lightning_prune.lab.report import evaluations as results
from lightning_prune.lab.report import layout, pictures, terminal
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.rate_picture import draw_learning_rate
from lightning_prune.lab.report.read_run import read_runs, require_numbers
from lightning_prune.lab.report.report_file import write_report_file
from lightning_prune.lab.visible import visible


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


def report(
    paths: Sequence[Path], out: Path | None = None, metric: str | None = None, console: Console | None = None
) -> Path:
    """Print the tables of one or several runs, and write the tables and the pictures to files.

    Args:
        paths: Run folders, or parents of ``version_*`` folders.
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
    folder = _require_folder(out or (runs[0].folder / "report" if len(runs) == 1 else Path("report")))
    summaries = [_summarize(run, metric) for run in runs]
    if len(runs) == 1:
        written = _report_one(summaries[0], folder, console)
    else:
        for summary in summaries:
            _report_one(summary, folder / summary.run.name, console)
        written = [*_compare(summaries, folder, console), *(folder / run.name for run in runs)]
    console.print("Written:", *written, sep="\n  ", soft_wrap=True, highlight=False, markup=False)
    return folder


def _require_folder(folder: Path) -> Path:
    """Make the folder now, so that an error about it comes before any work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"`--out {folder}` cannot be a folder: {error}. Give a folder, or the name of a new one."
        ) from error
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
    _require_folder(folder)
    tables = {folder / "cycles.csv": summary.cycles, folder / "skipped.csv": skipped}
    for path, content in tables.items():
        write_report_file(path, content.to_csv(index=False))
    return [*tables, *_draw(summary, folder)]


def _notes(summary: Summary) -> list[str]:
    notes = [
        terminal.progress_of(summary.run),
        f"Judged by {summary.columns.metric}." if summary.columns.metric else "No validation metric was logged.",
        *results.sentences(summary.run),
        f"There is no {RECORD} beside {METRICS}: what is not pruned is unknown." if not summary.run.record else None,
    ]
    return [note for note in notes if note is not None]


def _draw(summary: Summary, folder: Path) -> list[Path]:
    run, layers = summary.run, table.layer_table(summary.run)
    written = [draw_learning_rate(folder / "learning_rate.png", run)]
    if summary.columns.metric is not None:
        curves = {run.name: summary.curve}
        written.append(pictures.accuracy_over_density(folder / "accuracy_over_density.png", curves, run.name))
    if not layers.empty:
        written.append(pictures.density_per_layer(folder / "density_per_layer.png", layers, run.name))
    return [path for path in written if path is not None]


def _compare(summaries: Sequence[Summary], folder: Path, console: Console) -> list[Path]:
    curves = {summary.run.name: summary.curve for summary in summaries if summary.columns.metric is not None}
    if not curves:
        return []
    compared = table.comparison_table(curves)
    metrics = list(dict.fromkeys(str(curve.name) for curve in curves.values()))
    for metric in metrics:
        runs = [name for name, curve in curves.items() if curve.name == metric]
        console.print(layout.comparison(compared[runs].dropna(how="all"), metric, console.width))
    if len(metrics) > 1:
        said = f"The runs are judged by {', '.join(metrics)}: --metric chooses one for all."
        console.print(visible(said), highlight=False, markup=False)
        compared = compared.rename(columns={name: f"{name} {curve.name}" for name, curve in curves.items()})
    write_report_file(folder / "comparison.csv", compared.to_csv())
    return [folder / "comparison.csv", pictures.accuracy_over_density(folder / "comparison.png", curves)]
