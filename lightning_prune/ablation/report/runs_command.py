"""Parse ``lightning-prune report RUN [RUN ...]``. The report itself is imported only when there is one to make."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from lightning_prune.lab.report.finding import find_run

HELP = "Report runs with a table per cycle, CSV files and a page with pictures."


def report_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune report``."""
    parser = ArgumentParser(prog="lightning-prune report", description=HELP)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="the folder with metrics.csv, or its parent; several are compared; or the one folder of a study",
    )
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
    runs = [Path(run) for run in options.runs]
    for run in runs:
        find_run(run)
    from lightning_prune.ablation.report.runs_report import (
        report_runs,
    )  # late: pandas takes longer than an error about a path

    report_runs(runs, out=options.out and Path(options.out), metric=options.metric)
