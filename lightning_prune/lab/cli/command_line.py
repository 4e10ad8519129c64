"""Run ``lightning-prune fit|validate|test|predict``, with a network, data and a log that work by default."""

import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import yaml
from jsonargparse import ActionSubCommands, ArgumentParser
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lightning_prune import __version__
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.skipped_hooks import skip_empty
from lightning_prune.lab.cli.calls import refuse_calls
from lightning_prune.lab.cli.default_callbacks import default_callbacks, refuse_endless_dense_run
from lightning_prune.lab.cli.defaults import defaults_for, refuse_unknown_sections
from lightning_prune.lab.cli.explain import explain
from lightning_prune.lab.cli.guessed_values import refuse_guesses
from lightning_prune.lab.cli.option_words import in_full_words, is_switched_off
from lightning_prune.lab.cli.sections import MODE, add_sections, callbacks_of, without_members
from lightning_prune.lab.cli.small_networks import check_small, make_small
from lightning_prune.lab.cli.type_hints import integers_first
from lightning_prune.lab.runs.chosen_checkpoint import find_checkpoint, read_checkpoint, run_of
from lightning_prune.lab.runs.run_folder import RunConfig, RunLogger
from lightning_prune.lab.runs.run_lookup import checkpoint_roots, last_checkpoint, loggers_of, resuming
from lightning_prune.shrinking.small_file import is_small_file

DESCRIPTION = "Take a network from dense to sparse inside one fit, and show the results."
PARSER = {"prog": "lightning-prune", "description": DESCRIPTION, "version": __version__, "parser_mode": MODE}
TRAINER_DEFAULTS = {"log_every_n_steps": 10}
COMPLETED_BY_PATH = (
    "model",
    "data",
    *(f"trainer.{name}" for name in ("callbacks", "logger", "strategy", "plugins", "profiler")),
)
EVALUATIONS = ("validate", "test", "predict")
# Commands that need no Trainer, for the completion by a shell. The `cli` module adds them.
OTHER_COMMANDS: dict[str, tuple[Callable[[], ArgumentParser], str]] = {}


class Parser(LightningArgumentParser):
    """Parse all commands, also those without a Trainer. Guess no abbreviations, and report errors in one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def add_subcommands(self, *args: Any, **kwargs: Any) -> ActionSubCommands:
        subcommands = super().add_subcommands(*args, **kwargs)
        for name, (make_parser, explanation) in OTHER_COMMANDS.items():
            subcommands.add_subcommand(name, make_parser(), help=explanation)
        return subcommands

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # An inner parser, which tries one meaning after another.
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        command = parser.prog.replace(" [options]", "")
        sentence = explain(message, parser.get_defaults().keys())
        self.exit(2, f"{command}: error: {sentence}\nEvery option is explained by: {command} --help\n")


class CommandLine(LightningCLI):
    """The commands that run a Trainer.

    Args:
        arguments: The command and its arguments.
        run: Whether to run the command. If False, ``arguments`` hold no command. Then ``trainer``, ``model`` and
            ``datamodule`` are made and not used.
    """

    def __init__(self, arguments: Sequence[str], run: bool = True) -> None:
        self.words, self.runs = list(arguments), run
        silence()
        integers_first(Trainer.__init__)
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=Parser,
            parser_kwargs=PARSER | {command: {"parser_mode": MODE} for command in self.subcommands()},
            args=in_full_words(self.words),
            run=run,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_sections(parser)
        parser.set_defaults(defaults_for(self.words))

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the given words, without Lightning's warning if the process was started with other words."""
        refuse_guesses(self.words)
        command = next(iter(self.words), "")
        known = self._parser(command if command in self.subcommands() and self.runs else None)
        refuse_unknown_sections(self.words, known.get_defaults().keys())
        if any(word.startswith("--print_completion") for word in self.words):
            self._complete_by_path()
        self.config = parser.parse_args(args)
        self._check_checkpoint()

    def _parse_ckpt_path(self) -> None:
        """Take no arguments from a checkpoint. They name classes, and only a config may say what is imported."""

    def _complete_by_path(self) -> None:
        """Let the shell complete no arguments of models, data and loggers: there are tens of thousands."""
        for parser in self._subcommand_parsers.values():
            for action in parser._actions:
                if action.dest in COMPLETED_BY_PATH:
                    action.complete = {}  # type: ignore[attr-defined]

    def _check_checkpoint(self) -> None:
        command = self.config.get("subcommand")
        given = self.config[command].get("ckpt_path") if command else None
        if given is None and command in EVALUATIONS:
            raise UserError(f"`{command}` needs trained weights. Add --ckpt_path=<a checkpoint>, or --ckpt_path=last.")
        if not check_small(command, given) and given not in (None, "last"):
            read_checkpoint(find_checkpoint(given, []))

    def _dump_config(self) -> None:
        """Write the arguments that a checkpoint keeps. They were parsed a moment ago, so they are not checked again."""
        if not hasattr(self, "config_dump"):
            text = self.parser.dump(
                self.config, skip_link_targets=False, skip_none=False, skip_validation=True, format="yaml"
            )
            content = yaml.safe_load(text)
            self.config_dump = content[self.config.subcommand] if "subcommand" in self.config else content

    def instantiate_classes(self) -> None:
        """Make the objects, after the check that the config calls only classes."""
        refuse_calls(self.config[self.subcommand] if self.subcommand else self.config)
        super().instantiate_classes()
        given = self._get(self.config_init, "ckpt_path")
        if given is not None and check_small(str(self.subcommand), given):
            make_small(self.model, given)
            self.config_init[self.subcommand]["ckpt_path"] = None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        settings = self._get(self.config_init, "trainer")
        callbacks = settings["callbacks"] or []
        listed = callbacks if isinstance(callbacks, list) else [callbacks]
        off = is_switched_off(self.words)
        sections = callbacks_of(self.config_init[self.subcommand] if self.subcommand else self.config_init, off)
        given = [*sections, *(without_members(listed) if off else listed)]
        self._continue_run(settings, given)
        if self.subcommand == "fit":
            refuse_endless_dense_run(given, settings)
        missing = default_callbacks(given, settings)
        trainer = super().instantiate_trainer(callbacks=[*given, *missing], **kwargs)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if all(callback is not one for one in given):  # Also those that Lightning added, such as RunConfig.
                skip_empty(callback)
        return trainer

    def _continue_run(self, settings: Mapping[str, Any], callbacks: Sequence[Callback]) -> None:
        """Let a command with a checkpoint log into the folder of the checkpoint's run."""
        given = self._get(self.config_init, "ckpt_path")
        if given is None:
            return
        checkpoint = find_checkpoint(given, checkpoint_roots(settings, callbacks))
        if not is_small_file(checkpoint):
            read_checkpoint(checkpoint)
        self.config_init[self.subcommand]["ckpt_path"] = str(checkpoint)
        folder = run_of(checkpoint)
        for logger in loggers_of(settings):
            if folder is not None and isinstance(logger, RunLogger):
                logger.continue_run(folder)

    def fit(self, **kwargs: Any) -> None:
        """Fit, and after Ctrl-C print the command to resume. After an error no command is printed."""
        try:
            self.trainer.fit(**kwargs)
        except (KeyboardInterrupt, SystemExit):  # Lightning turns a KeyboardInterrupt into a SystemExit.
            checkpoint = last_checkpoint(self.trainer)
            if checkpoint and self.trainer.is_global_zero:
                command = shlex.join(["lightning-prune", *resuming(self.words, checkpoint)])
                sys.stderr.write(f"\nInterrupted. To resume:\n  {command}\n")
            raise


def silence() -> None:
    """Hide messages of no use to the user: advertisements, and warnings of one library to another."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "Tip: For seamless cloud" not in record.getMessage()
