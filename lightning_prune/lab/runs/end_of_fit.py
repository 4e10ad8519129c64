"""Print the end of a fit: the table of its cycles, the folder of the run, and the command to go on with."""

import shlex
from pathlib import Path

from rich.console import Console

from lightning_prune.basics.file_names import METRICS
from lightning_prune.lab.metric_names import choose_columns
from lightning_prune.lab.report.cycle_table import cycle_table
from lightning_prune.lab.report.finding import short_names
from lightning_prune.lab.report.layout import cycles
from lightning_prune.lab.report.read_run import read_run, require_numbers
from lightning_prune.lab.visible import visible


def print_end(folder: Path, console: Console) -> None:
    """Print the table of a run's cycles, its folder and the next command.

    A fit that did not log to a CSV file prints nothing. A fit without pruning has no table.

    Args:
        folder: The folder of the run.
        console: The console.
    """
    if not (folder / METRICS).is_file():
        return
    try:
        run = read_run(folder, short_names([folder])[0])
        columns = choose_columns([str(name) for name in run.rows])
        require_numbers(folder / METRICS, run.rows, columns.logged())
    except ValueError:  # Nothing was pruned, or no epoch has ended. The files are there all the same.
        console.print(visible(f"The run is in {folder}"), soft_wrap=True, highlight=False, markup=False)
        return
    console.print(cycles(run.name, cycle_table(run, columns), columns, console.width))
    lines = (f"The run is in {folder}", f"Report it: lightning-prune report {shlex.quote(str(folder))}")
    console.print(*map(visible, lines), sep="\n", soft_wrap=True, highlight=False, markup=False)
