"""``lightning-prune fit|validate|test|predict``: LightningCLI with a network, data and a log that work by default."""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionSubCommands
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lightning_prune.callbacks.random_state import RandomState
from lightning_prune.lab.explain import explain
from lightning_prune.lab.progress import CycleProgressBar
from lightning_prune.lab.report.command import HELP as REPORT_HELP
from lightning_prune.lab.report.command import report_parser
from lightning_prune.lab.run_folder import RunConfig, RunLogger, find_checkpoint, run_of
from lightning_prune.version import __version__

DESCRIPTION = "Take a network from dense to sparse inside one fit, and show what came of it."
TRAINER_DEFAULTS = {
    "logger": {"class_path": "lightning_prune.lab.run_folder.RunLogger", "init_args": {"save_dir": "runs"}},
    "log_every_n_steps": 10,
}
MODEL = {
    "class_path": "lightning_prune.lab.Classifier",
    "init_args": {
        "network": {"class_path": "lightning_prune.lab.LeNet300100", "init_args": {"inputs": 64}},
    },
}
DATA = {"class_path": "lightning_prune.lab.Digits"}


class Parser(LightningArgumentParser):
    """A parser that knows the ``report`` command, guesses no abbreviations and complains in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def add_subcommands(self, *args: Any, **kwargs: Any) -> ActionSubCommands:
        subcommands = super().add_subcommands(*args, **kwargs)
        subcommands.add_subcommand("report", report_parser(), help=REPORT_HELP)
        return subcommands

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside the parser, which tries one meaning after another
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        command = parser.prog.replace(" [options]", "")
        sentence = explain(message, parser.get_defaults().keys())
        self.exit(2, f"{command}: error: {sentence}\nEvery option is explained by: {command} --help\n")


class CommandLine(LightningCLI):
    """The commands that run a Trainer.

    Args:
        arguments: The command and its arguments.
        run: Whether to run the command; if not, ``arguments`` are without it, and ``trainer``, ``model`` and
            ``datamodule`` are made and left alone.
    """

    def __init__(self, arguments: Sequence[str], run: bool = True) -> None:
        silence()
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            save_config_callback=RunConfig,
            parser_class=Parser,
            parser_kwargs={"prog": "lightning-prune", "description": DESCRIPTION, "version": __version__},
            args=list(arguments),
            run=run,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the given words, without Lightning's warning where the process was started with others."""
        self.config = parser.parse_args(args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.set_defaults({"model": MODEL, "data": DATA})

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer")
        self._continue_run(settings["logger"])
        callbacks = settings["callbacks"] or []
        given = callbacks if isinstance(callbacks, list) else [callbacks]
        missing = default_callbacks(given, settings)
        return super().instantiate_trainer(callbacks=[*given, *missing], **kwargs)

    def _continue_run(self, logger: object) -> None:
        """Let a command that is given a checkpoint log in the folder of the run that the checkpoint is from."""
        given = self._get(self.config_init, "ckpt_path")
        if given is None or not isinstance(logger, RunLogger):
            return
        checkpoint = find_checkpoint(given, Path(logger.root_dir))
        self.config_init[self.subcommand]["ckpt_path"] = str(checkpoint)
        folder = run_of(checkpoint)
        if folder is not None:
            logger.continue_run(folder)


def silence() -> None:
    """Leave out what tells the user of this command nothing: advertisements, and what one library warns another of."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")


def default_callbacks(given: Sequence[Callback], settings: Mapping[str, Any]) -> list[Callback]:
    """Make the callbacks that every run has, less those that the user gave or switched off.

    Args:
        given: The user's own callbacks; one of the same kind takes a default's place.
        settings: The arguments of the Trainer.

    Returns:
        What makes a resumed run repeat an uninterrupted one; and those missing of a progress bar with the cycle in
        it, a LearningRateMonitor, and a checkpoint after every epoch.
    """
    callbacks: list[Callback] = [RandomState()]
    bare = settings["barebones"]
    if not (_has(given, ProgressBar) or bare or settings["enable_progress_bar"] is False):
        callbacks.append(CycleProgressBar())
    if not (_has(given, LearningRateMonitor) or bare or settings["logger"] is False):
        callbacks.append(LearningRateMonitor(logging_interval="step"))
    if not (_has(given, ModelCheckpoint) or bare or settings["enable_checkpointing"] is False):
        callbacks.append(ModelCheckpoint(filename="last", enable_version_counter=False))  # after every epoch, anew
    return callbacks


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "Tip: For seamless cloud" not in record.getMessage()


def _has(callbacks: Sequence[Callback], kind: type[Callback]) -> bool:
    return any(isinstance(callback, kind) for callback in callbacks)
