"""Measure the claims of the papers: train what is missing, then write docs/claims.md and its pictures.

``make claims`` runs everything, ``make claims CLAIM=3`` one claim. ``DATA=folder`` takes CIFAR-10 from an image
folder (``train/<class>/``, ``test/<class>/``). ``FULL=1`` is the GPU size. An interrupted command continues when it is
repeated. The measurements are kept as text in docs/claims; ``--write`` makes the page from them and trains nothing.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.claims import results, studies
from benchmarks.claims.catalog import CLAIMS
from benchmarks.claims.claim import Claim
from benchmarks.claims.page import Outcome, outcome_of, write_page
from lightning_prune.ablation import Ablation

SAYS = "Measure the claims of the papers, and write docs/claims.md."
PAGE = Path("docs", "claims.md")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments."""
    numbers = [one.number for one in CLAIMS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=SAYS)
    parser.add_argument("--claim", type=int, nargs="*", choices=numbers, help="only these claims")
    parser.add_argument("--full", action="store_true", help="the GPU size instead of the one for two cores")
    parser.add_argument("--data", help="a folder with train/<class>/ and test/<class>/, for torchvision's CIFAR-10")
    parser.add_argument("--data-name", help="what the page calls the images of --data (default: the folder's name)")
    parser.add_argument("--out", type=Path, default=Path("runs", "claims"), help="where the studies go (%(default)s)")
    parser.add_argument("--workers", type=int, help="how many networks at once (default: 2; with --full 4)")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write (%(default)s)")
    parser.add_argument("--write", action="store_true", help="only write the page, from what was kept before")
    options = parser.parse_args(arguments)
    refuse_mistakes(parser, options)
    return options


def refuse_mistakes(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a message before anything is trained."""
    for part in ("train", "test"):
        if options.data is not None and not Path(options.data, part).is_dir():
            parser.error(
                f"--data {options.data}: there is no folder `{part}` in it. Give the top of an image-folder tree."
            )
    if options.data_name is not None and options.data is None:
        parser.error(f"--data-name {options.data_name}: there is no --data to be called so. Give both, or neither.")
    kept = options.page.parent / "claims"
    if options.write and not any(kept.glob("*/*.json")):
        parser.error(f"--write: nothing was kept in {kept}. Leave it out to train, or give an earlier --page.")


def main(options: argparse.Namespace) -> None:
    """Run the studies of the claims that were asked for, then write the page from all that is known."""
    console = Console()
    size, chosen = "full" if options.full else "cpu", options.claim or [one.number for one in CLAIMS]
    names = [name for claim in CLAIMS if claim.number in chosen for name in studies_of(claim, size)]
    if not options.write:
        for index, name in enumerate(dict.fromkeys(names), start=1):
            console.rule(f"study {index} of {len(set(names))}: {name}")
            run(name, size, options, console)
    outcomes = all_outcomes(options.page)
    if not any(one.results for one in outcomes):
        raise SystemExit("Nothing was measured, and no page written: see the errors above.")
    for path in write_page(options.page, outcomes):
        console.print(f"Written: {path}", highlight=False, soft_wrap=True)
    for one in outcomes:
        if one.results and one.claim.number in chosen and one.size == size:
            console.print(f"{one.claim.number}. {one.claim.title}: {one.verdict}", highlight=False)


def studies_of(claim: Claim, size: str) -> list[str]:
    """The studies of a claim, by the configs that there are."""
    return sorted(path.stem for path in (studies.CONFIGS / size).glob(f"{claim.topic}_*.yaml"))


def run(name: str, size: str, options: argparse.Namespace, console: Console) -> None:
    """Train what is missing of a study, and keep what came out.

    Args:
        name: The study.
        size: ``"cpu"`` or ``"full"``.
        options: The arguments.
        console: Where progress is shown.
    """
    folder = options.out / size
    given = studies.read(name, size, options.data, options.out / "images")
    study = Ablation.from_config(given)
    shared, alone = study.epochs
    size_of = f"{len(study.config.arms)} arms, {len(study.config.seeds)} seeds"
    console.print(f"{size_of}: {shared} epochs for {alone} of arms alone.", highlight=False)
    command = shlex.join(["python", "-m", "benchmarks.claims", *sys.argv[1:]])
    workers = options.workers if options.workers is not None else (4 if size == "full" else 2)
    frame = study.run(
        folder / name,
        workers=workers,
        store=folder / "store",
        command=command,
        console=console,
        errors="keep",  # they are listed, and the other studies go on
    )
    for arm, error in frame.dropna(subset=["error"]).groupby("arm", sort=False)["error"].first().items():
        console.print(f"{name}: {arm} failed: {error}", style="red", highlight=False, markup=False)
    if results.whole_runs(frame).empty:
        said = f"{name}: nothing to keep, every arm failed. What was kept of it before, if anything, stays on the page."
        console.print(said, style="red", highlight=False)
        return
    config = studies.config_of(name, size).as_posix()
    facts = {"data": data_name(given, options), "config": config, "size": size, "workers": workers}
    results.keep(frame, name, facts, options.page.parent / "claims" / size, folder / name)


def data_name(given: dict, options: argparse.Namespace) -> str:
    """What the page calls the images of a study."""
    kind = given["base"]["data"]["class_path"].rpartition(".")[2]
    if kind in studies.NAMED:
        return studies.NAMED[kind]
    return (
        studies.TORCHVISION
        if options.data is None
        else options.data_name or f"images of the folder {Path(options.data).resolve().name}"
    )


def all_outcomes(page: Path) -> list[Outcome]:
    """What is known of every claim, at both sizes; the GPU size only where something was run."""
    found = []
    for size in ("cpu", "full"):
        for claim in CLAIMS:
            known = [results.read(name, page.parent / "claims" / size) for name in studies_of(claim, size)]
            measured = [one for one in known if one is not None]
            if measured or size == "cpu":
                found.append(outcome_of(claim, size, measured))
    return found


if __name__ == "__main__":
    main(parse())
