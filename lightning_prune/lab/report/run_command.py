"""Declare the arguments of ``lightning-prune report``."""

from jsonargparse import ArgumentParser

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
