"""Report a study with ``lightning-prune report STUDY``: a page, picture files, and the headline on the terminal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console

from lightning_prune.ablation.report import headline
from lightning_prune.ablation.report.arm_names import drawable
from lightning_prune.ablation.report.page import write_page
from lightning_prune.ablation.report.picture_files import print_files, write_pictures
from lightning_prune.ablation.report.pictures import layers, learning_curves, rates
from lightning_prune.ablation.report.pictures.cost import draw_cost
from lightning_prune.ablation.report.pictures.differences import draw_differences
from lightning_prune.ablation.report.pictures.layers import draw_layers
from lightning_prune.ablation.report.pictures.learning_curves import draw_learning_curves
from lightning_prune.ablation.report.pictures.over_density import draw_over_density
from lightning_prune.ablation.report.pictures.pareto import draw_pareto
from lightning_prune.ablation.report.pictures.picture import Picture
from lightning_prune.ablation.report.pictures.rates import draw_rates
from lightning_prune.ablation.report.pictures.search import draw_search
from lightning_prune.ablation.report.pictures.shared_work import draw_shared_work
from lightning_prune.ablation.report.pictures.some_arms import some_arms, some_of
from lightning_prune.ablation.report.read_study import read_arm, read_study
from lightning_prune.ablation.report.reported_study import Facts, Study
from lightning_prune.ablation.results.intervals import UNDECIDED
from lightning_prune.ablation.results.table_checks import require_arms
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.report_file import require_folder
from lightning_prune.lab.report.terminal import report_console
from lightning_prune.lab.visible import visible

MOST_RUNS = 24  # Arms whose run is drawn by itself. The picture of the rates has a panel for each.
HELP = "Report a study on one page that works without a network, with its pictures as files."


def report_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune report`` for a study."""
    parser = ArgumentParser(prog="lightning-prune report", description=HELP)
    parser.add_argument("study", metavar="STUDY", help="the folder with study.json")
    parser.add_argument("--against", type=str | None, help="the arm to compare with at first (default: the first)")
    parser.add_argument(
        "--metric",
        type=str | None,
        help="the column that pictures show first: test_last, val_best, ... (default: the one that judges the arms)",
    )
    parser.add_argument("--out", type=str | None, help="where files go (default: STUDY/report)")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments and report."""
    options = report_parser().parse_args(list(arguments))
    out = options.out and Path(options.out)
    report_study(Path(options.study), out=out, against=options.against, metric=options.metric)


def report_study(
    folder: Path,
    out: Path | None = None,
    against: str | None = None,
    metric: str | None = None,
    console: Console | None = None,
) -> Path:
    """Write the page of a study and its pictures, and print the headline.

    Args:
        folder: The folder with study.json.
        out: The folder for the files. None: ``report`` in ``folder``.
        against: The arm to which differences are shown at first. None: the first arm with a result.
        metric: The column that pictures show first. None: the column that judges the arms.
        console: The console for the headline. None: the terminal.

    Returns:
        The page.

    Raises:
        FileNotFoundError: If there is no study in the folder, or no table yet.
        ValueError: If a file is damaged, ``against`` is no arm with a result, ``metric`` is not measured, or files
            cannot go to ``out``.
    """
    study = read_study(folder)
    chosen = _chosen_label(study, metric)
    against = None if against is None else drawable(against)
    if against is not None:
        _require_against(study, against)
    place = require_folder(out or folder / "report")
    runs, damaged = first_runs(study)
    study = replace(study, damaged=damaged)
    pictures = draw(study, chosen, against, runs)
    page = write_page(place / "index.html", study, pictures, chosen=chosen)
    console = console or report_console()
    _print(console, study)
    print_files(console, page, write_pictures(place, pictures))
    return page


def draw(study: Study, chosen: str, against: str | None = None, runs: dict[str, Run] | None = None) -> list[Picture]:
    """Draw every picture of a study, in the order of the page.

    Args:
        study: The study.
        chosen: The label of the measure that pictures show first.
        against: The arm to which differences are shown at first.
        runs: A run of each arm, for the pictures of a single run. None: the runs are read.
    """
    runs = first_runs(study)[0] if runs is None else runs
    pictures = [
        draw_over_density(study, chosen),
        draw_differences(study, chosen, against),
        draw_pareto(study, chosen, runs),
        draw_cost(study, chosen),
        draw_shared_work(study),
        draw_learning_curves(study, runs),
        draw_rates(study, runs),
        draw_search(study),
        draw_layers(study, runs),
    ]
    drawn = some_arms(study, study.arms, MOST_RUNS)
    left_out = some_of(drawn, study.arms) if len(drawn) < len(study.arms) else ""
    return [_noted(picture, left_out) for picture in pictures if picture is not None]


def _noted(picture: Picture, left_out: str) -> Picture:
    """Say below a picture of single runs which arms it leaves out."""
    if picture.name not in (learning_curves.NAME, rates.NAME, layers.NAME) or not left_out:
        return picture
    return replace(picture, missing=f"{picture.missing} {left_out}".strip())


def draw_runs(study: Study, runs: dict[str, Run]) -> list[Picture]:
    """Draw every picture of runs that are shown as a study, in the order of the page.

    Args:
        study: The study of the runs.
        runs: The runs by name.
    """
    chosen = headline.default_label(study)
    pictures = [
        draw_over_density(study, chosen) if chosen else None,
        draw_pareto(study, chosen, runs),
        draw_learning_curves(study, runs),
        draw_rates(study, runs),
        draw_layers(study, runs),
    ]
    return [picture for picture in pictures if picture is not None]


def first_runs(study: Study) -> tuple[dict[str, Run], tuple[str, ...]]:
    """Read the run of every arm with the first seed that did not fail, or else the first seed that logged anything.

    Of many arms only some are read.

    Args:
        study: The study.

    Returns:
        The runs by arm, and a sentence for each file that could not be read. A run of another seed replaces such a run.
    """
    runs, damaged = {}, dict[str, None]()
    paths: dict[str, list[Facts]] = {}
    for path in study.paths:
        paths.setdefault(str(path["arm"]), []).append(path)
    for arm in some_arms(study, study.arms, MOST_RUNS):
        for path in sorted(paths.get(arm, []), key=lambda path: path["error"] is not None):
            try:
                run = read_arm(study, arm, int(path["seed"]))
            except ValueError as error:
                damaged[f"Learning rates and layers of a node are left out: {error}"] = None  # Arms may share the node.
                continue
            if run is not None:
                runs[arm] = run
                break
    return runs, tuple(damaged)


def _chosen_label(study: Study, metric: str | None) -> str:
    known = {measure.column: measure.label for measure in study.measures}
    if metric is None:
        return headline.default_label(study)
    if metric not in known:
        measured = f"Measured are {', '.join(known) or 'none'}."
        raise UserError(f"`metric={metric}` (--metric) was not measured.{suggest(metric, known)} {measured}")
    return known[metric]


def _require_against(study: Study, against: str) -> None:
    require_arms("report", study.table, against=against)
    if against not in study.measured_arms:
        raise UserError(
            f"`against={against}` (--against) has no result. Choose one of {', '.join(study.measured_arms) or 'none'}."
        )


def _print(console: Console, study: Study) -> None:
    console.print(visible(f"{study.name}: {headline.lead(study)}"), highlight=False, markup=False)
    for winner in headline.winners(study):
        best = (
            winner.arm
            if winner.verdict != UNDECIDED
            else f"undecided: {winner.arm}. Not significantly worse: {winner.rivals}"
        )
        console.print(visible(f"  {winner.density}: {best}"), highlight=False, markup=False)
    for note in headline.notes(study):
        console.print(visible(note), highlight=False, markup=False)
