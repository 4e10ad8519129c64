"""Show what can be removed from the network of a config: ``lightning-prune structures --config FILE``. No training."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

HELP = "Show which channels, heads and neurons of a network can be removed, and what cannot and why."


def structures_parser() -> ArgumentParser:
    """Declare the arguments of ``lightning-prune structures``. All other options are those of ``fit``."""
    parser = ArgumentParser(prog="lightning-prune structures", description=f"{HELP} Takes the options of fit.")
    parser.add_argument("--config", metavar="FILE", help="the config of a fit; its model and data are used")
    return parser


def main(arguments: Sequence[str]) -> None:
    """Make the network and a batch of a config, and print the table."""
    if {"-h", "--help"}.intersection(arguments):
        structures_parser().parse_args(["--help"])
    from lightning.pytorch import Trainer  # late: --help needs no Lightning

    from lightning_prune.lab.cli.command_line import CommandLine
    from lightning_prune.lab.runs.first_batch import batch_of
    from lightning_prune.structures.find import structures_of

    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)

    class Structures(CommandLine):
        """Runs no fit, but looks at its network."""

        def instantiate_trainer(self, **_: Any) -> Trainer:
            return Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)

        def fit(self, **given: Any) -> None:
            model, example = given["model"], None
            if getattr(model, "example_input_array", None) is None:
                example = batch_of(model, given["datamodule"])
            sys.stdout.write(f"{structures_of(model, example)}\n")

    Structures(["fit", *arguments])
