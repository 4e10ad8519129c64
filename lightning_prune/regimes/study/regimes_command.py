"""Parse ``lightning-prune regimes --config STUDY --out FOLDER``. The study is imported only when it is run."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from lightning_prune.ablation.command import add_engine

HELP = "Map how well a network prunes over temperature and density, and say what to change."


def regimes_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune regimes``."""
    parser = ArgumentParser(prog="lightning-prune regimes", description=HELP)
    parser.add_argument("--config", type=str | None, metavar="STUDY", help="the study: a YAML file")
    parser.add_argument("--out", type=str | None, help="its folder (default: runs/regimes/<name of the study>)")
    parser.add_argument("--advise", type=str | None, metavar="FOLDER", help="only say what a finished study advises")
    parser.add_argument("--density", type=float | None, help="with --advise: one density (default: all)")
    parser.add_argument("--temperature", type=str | None, help="with --density: where to start (default: the last)")
    parser.add_argument("--workers", type=int | None, help="the number of networks to train at once (default: 1)")
    add_engine(parser, "network")
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained and measured, and stop")
    parser.add_argument("--force", action="store_true", help="go on in a folder of another study or version")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments, and run the study or say what it advises."""
    options = regimes_parser().parse_args(list(arguments))
    from lightning_prune.regimes.study.run_regimes import run_regimes  # late: torch takes longer than --help

    run_regimes(options, arguments)
