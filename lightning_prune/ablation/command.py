"""Parse ``lightning-prune ablate --config STUDY --out FOLDER``. The study is imported only when it is run."""

from collections.abc import Sequence
from typing import Literal

from jsonargparse import ArgumentParser

HELP = "Compare arms over seeds, training what they share only once."


def ablate_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune ablate``."""
    parser = ArgumentParser(prog="lightning-prune ablate", description=HELP)
    parser.add_argument("--config", required=True, type=str, metavar="STUDY", help="the study: a YAML file")
    parser.add_argument("--out", type=str | None, help="its folder (default: runs/ablations/<name of the study>)")
    parser.add_argument(
        "--store", type=str | None, help="a folder of nodes that several studies share (default: --out)"
    )
    parser.add_argument(
        "--workers",
        type=int | Literal["auto"] | None,
        help="the number of nodes to train at once (default: 1, or with ray as many as fit). 0 trains in this process, "
        "auto tries 1, 2, 4, ... on the first nodes and keeps what trains most images a second",
    )
    add_engine(parser, "node")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the tree of all nodes to train, and stop. A config is code: for the tree, its classes are imported "
        "and made, and the data are prepared",
    )
    parser.add_argument("--force", action="store_true", help="go on in a folder of another study or version")
    return parser


def add_engine(parser: ArgumentParser, unit: str) -> None:
    """Add the flags that say where a study is trained.

    Args:
        parser: The parser of a command that trains a study.
        unit: What is trained at a time, for the help.
    """
    parser.add_argument(
        "--engine", type=Literal["local", "ray"], default="local", help="where: ray for a running cluster"
    )
    parser.add_argument("--address", type=str | None, help="the Ray cluster (default: the one this machine is in)")
    parser.add_argument("--gpus", type=float, default=0.0, help=f"with ray: the share of a GPU that a {unit} takes")
    parser.add_argument("--cpus", type=float, default=1.0, help=f"with ray: the CPUs that a {unit} takes")
    parser.add_argument(
        "--every", type=float, default=30.0, help=f"the seconds of a {unit}'s work that an interruption loses at most"
    )


def main(arguments: Sequence[str]) -> None:
    """Parse the arguments and run the study."""
    options = ablate_parser().parse_args(list(arguments))
    from lightning_prune.ablation.run_study import run_study  # late: torch takes longer than --help

    run_study(options, arguments)
