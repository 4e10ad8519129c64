"""The ``lightning-prune`` command, which runs the subcommands and turns errors into messages."""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dis import opmap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_prune import __version__
from lightning_prune.basics.config_files import require_config
from lightning_prune.basics.file_names import STUDY
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError

DEBUG = "LIGHTNING_PRUNE_DEBUG"
DESCRIPTION = "Take a network from dense to sparse inside one fit, and show the results."
# The commands of a Trainer, which `lab.cli.command_line` runs, with their lines in --help.
TRAINER_COMMANDS = {
    "fit": "Train and prune a network, and log the run into a folder.",
    "validate": "Measure a checkpoint on the validation data.",
    "test": "Measure a checkpoint on the test data.",
    "predict": "Write the predictions of a checkpoint into its run.",
}
# The other commands, with their lines in --help. A module has the command's `main(words)`, and `<command>_parser()` for
# the completion by a shell. It is imported when the command is called, and imports what is slow in `main`.
COMMANDS = {
    "ablate": ("ablation.command", "Compare arms over seeds, training what they share only once."),
    "regimes": (
        "regimes.study.regimes_command",
        "Map how well a network prunes over temperature and density, and say what to change.",
    ),
    "report": (
        "ablation.report.runs_command",
        "Report a run, several runs or a study: tables, and a page with pictures.",
    ),
    "structures": ("lab.structures_command", "Show which channels, heads and neurons of a network can be removed."),
    "shrink": ("lab.shrink_command", "Remove dead channels, heads and neurons, and write the small network."),
    "compress": ("lab.compress.compress_command", "Make a trained network smaller and faster, in one command."),
    "profile": ("lab.profile_command", "Measure a network: its size, its speed, and what it gains over the dense one."),
    "export": (
        "lab.export_command",
        "Write the network of a checkpoint into a file for a runtime, and check it.",
    ),
    "configs": ("lab.configs_command", "List the configs that come with the package, or copy one."),
}
NEED_NO_EXTRA = ("configs",)
NEED_STUDIES = ("ablate", "regimes", "report", "profile", "compress")
STUDY_REPORT = "ablation.report.report_command"  # `report`, given the folder of a study
CONFIG = ("--config", "-c")
CONTENT = frozenset(":{}\n")
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
FOLDERS = {  # the options that choose where a command writes
    "ablate": "--out, --store",
    "regimes": "--out",
    "report": "--out",
    "shrink": "--out",
    "profile": "--out",
    "export": "--out",
}
MAKING = {"instantiate_classes", "configure_optimizers"}
OTHER_WEIGHTS = "Error(s) in loading state_dict for "
LAB = ("jsonargparse", "rich", "pandas", "sklearn", "torchmetrics", "torchvision")
STUDIES = ("scipy", "pyarrow", "altair", "vl_convert", "jinja2")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Bad input ends with one message and exit code 2. Set ``LIGHTNING_PRUNE_DEBUG=1`` to see where the error was raised.

    Args:
        arguments: The words after ``lightning-prune``. None: the arguments of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in ([], ["--help"], ["-h"]):
        print(overview())
        sys.exit(0 if words else 2)
    if words == ["--version"]:
        print(f"lightning-prune {__version__}")
        sys.exit()
    try:
        refuse_unknown(words[0])
        refuse_missing_extra(words[0])
        run(with_config_files(words))
    except Exception as error:
        message = refusal(error) or unwritable(error, words)
        if message is None or os.environ.get(DEBUG):
            raise
        command = " ".join(["lightning-prune", *(word for word in words[:1] if word in {*TRAINER_COMMANDS, *COMMANDS})])
        from lightning_prune.lab.visible import visible  # the message may hold names of a file of somebody else

        print(f"{command}: error: {visible(message)}\n({DEBUG}=1 shows where this was found.)", file=sys.stderr)
        sys.exit(2)


def run(words: Sequence[str]) -> None:
    """Run a command.

    Args:
        words: The command and its arguments.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # class paths such as `mine.Net` for a mine.py in the current folder
    command = words[0]
    if command in COMMANDS:
        studied = command == "report" and any(Path(word, STUDY).is_file() for word in words[1:])
        _module(STUDY_REPORT if studied else COMMANDS[command][0]).main(words[1:])
        return
    command_line = _module("lab.cli.command_line")
    for name, (module, line) in COMMANDS.items():
        command_line.OTHER_COMMANDS[name] = (getattr(_module(module), f"{name}_parser"), line)
    command_line.CommandLine(words)


def _module(name: str) -> Any:
    return importlib.import_module(f"lightning_prune.{name}")


def overview() -> str:
    """The text of ``lightning-prune --help``: every command with a line.

    Example:
        >>> print(overview()[:32])
        usage: lightning-prune [-h] [--v
    """
    lines = {**TRAINER_COMMANDS, **{name: line for name, (_, line) in COMMANDS.items()}}
    listed = "\n".join(f"    {name:<10} {line}" for name, line in lines.items())
    return (
        f"usage: lightning-prune [-h] [--version] COMMAND ...\n\n{DESCRIPTION}\n\ncommands:\n{listed}\n\n"
        "Every option is explained by: lightning-prune COMMAND --help"
    )


def refuse_unknown(command: str) -> None:
    """Refuse a word that is no command.

    Args:
        command: The first word. An option is left to the parser.

    Raises:
        UserError: If there is no such command.
    """
    known = [*TRAINER_COMMANDS, *COMMANDS]
    if not command.startswith("-") and command not in known:
        raise UserError(f"There is no command `{command}`.{suggest(command, known)} There are {', '.join(known)}.")


def refuse_missing_extra(command: str) -> None:
    """Refuse a command whose libraries are not installed.

    Args:
        command: The command.

    Raises:
        UserError: If a library is missing. The message names the extra for pip.
    """
    extra = "studies" if command in NEED_STUDIES else "cli"
    needed = () if command in NEED_NO_EXTRA else (*LAB, *STUDIES) if extra == "studies" else LAB
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed. `{command}` needs the `{extra}` extra: pip install "
            f"'lightning-prune[{extra}]'"
        )


def with_config_files(words: Sequence[str]) -> list[str]:
    """Replace the names of configs that come with the package by their files, and refuse a config that is missing.

    Args:
        words: The command and its arguments.

    Returns:
        The words. Only values of ``--config`` and ``-c`` of a Trainer's command and of ``structures`` are replaced.

    Raises:
        FileNotFoundError: If a config does not exist. The message names the nearest.

    Example:
        >>> with_config_files(["fit", "--config={trainer: {max_epochs: 3}}"])
        ['fit', '--config={trainer: {max_epochs: 3}}']
    """
    found = list(words)
    for place, (word, before) in enumerate(zip(words, ["", *words], strict=False)):
        option, equals, value = word.partition("=")
        if before in CONFIG:
            option, equals, value = "", "", word
        elif option not in CONFIG or not equals:
            continue
        if CONTENT.isdisjoint(value):  # a path or a name, and not YAML itself
            file = require_config(f"`--config {value}`", value)
            found[place] = f"{option}{equals}{file}" if words[0] in {*TRAINER_COMMANDS, "structures"} else word
    return found


def refusal(error: BaseException | None) -> str | None:
    """Tell a refusal of the user's input from a fault in the program.

    Args:
        error: The error that was caught. For an error of jsonargparse, its cause is judged.

    Returns:
        The message of a refusal. None for an error that may be a fault.

    Example:
        >>> from lightning_prune.basics.user_error import UserError
        >>> refusal(UserError("`width` must be at least 1.")), refusal(ValueError("math domain error"))
        ('`width` must be at least 1.', None)
    """
    if error is None:
        return None
    if isinstance(error, UserError) or type(error).__name__ == "MisconfigurationException":
        return str(error)
    if isinstance(error, RuntimeError) and str(error).startswith(OTHER_WEIGHTS):
        return _other_weights(str(error))
    if not isinstance(error, ValueError | OSError) or error.__traceback__ is None:
        return None
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if "jsonargparse" in Path(calls[-1].f_code.co_filename).parts:
        return refusal(error.__cause__)
    # The user's own classes know no UserError: there, what a statement raised is a refusal.
    made = not MAKING.isdisjoint(call.f_code.co_name for call in calls)
    return str(error) if made and _was_raised_by_a_statement(error) else None


def _was_raised_by_a_statement(error: BaseException) -> bool:
    """Whether somebody wrote ``raise``: a fault comes out of an operation or a function of C, such as ``int("x")``."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_code[last.tb_lasti] == opmap["RAISE_VARARGS"]


def unwritable(error: BaseException, words: Sequence[str]) -> str | None:
    """Word the error about a folder that cannot be written, with the options that choose another folder.

    Args:
        error: The error that was caught.
        words: The command and its arguments.

    Returns:
        The message. None for any other error.
    """
    if not isinstance(error, OSError) or error.errno not in NOT_WRITABLE or error.filename is None:
        return None
    options = FOLDERS.get(next(iter(words), ""), "--trainer.logger.save_dir, --trainer.default_root_dir, --data.root")
    return f"{error.filename} cannot be written ({error.strerror}). Give another folder: {options}."


def _other_weights(message: str) -> str:
    first, *rest = (line.strip() for line in message.splitlines())
    more = f" (and {len(rest) - 1} more)" if len(rest) > 1 else ""
    return f"The checkpoint is of another network. {first} {' '.join(rest[:1])}{more}"


if __name__ == "__main__":
    main()
