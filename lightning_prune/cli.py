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

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lightning_prune.basics.file_names import STUDY

PACKAGE = Path(__file__).parent
DEBUG = "LIGHTNING_PRUNE_DEBUG"
EXPECTED = (
    ValueError,
    OSError,
    MisconfigurationException,
    RuntimeError,
)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
FOLDERS = {  # the options that choose where a command writes
    "ablate": "--out, --store",
    "report": "--out",
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
    missing = [name for name in (*LAB, *STUDIES) if find_spec(name) is None]
    if missing:
        sys.exit(
            f"lightning-prune: {', '.join(missing)} not installed; the command line needs the `lab` extra: "
            "pip install 'lightning-prune[lab]'"
        )
    try:
        run(words or ["--help"])
    except SystemExit:
        if words:
            raise
        sys.exit(2)  # the help was shown because no command was given
    except EXPECTED as error:
        message = complaint(error) or unwritable(error, words)
        if message is None or os.environ.get(DEBUG):
            raise
        command = " ".join(["lightning-prune", *words[:1]])
        print(f"{command}: error: {message}\n({DEBUG}=1 shows where this was found.)", file=sys.stderr)
        sys.exit(2)


def run(words: Sequence[str]) -> None:
    """Run a command: ``ablate``, ``report``, or one of the Trainer's.

    Args:
        words: The command and its arguments.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # class paths such as `mine.Net` for a mine.py in the current folder
    # We import late, because the extra may be missing, and because the report needs no Trainer.
    if words[:1] == ["ablate"]:
        importlib.import_module("lightning_prune.ablation.command").main(words[1:])
    elif words[:1] == ["report"]:
        studied = any(Path(word, STUDY).is_file() for word in words[1:])
        command = "ablation.report.report_command" if studied else "ablation.report.runs_command"
        importlib.import_module(f"lightning_prune.{command}").main(words[1:])
    else:
        command_line = importlib.import_module("lightning_prune.lab.cli.command_line")
        ablate = importlib.import_module("lightning_prune.ablation.command")
        command_line.OTHER_COMMANDS["ablate"] = (ablate.ablate_parser, ablate.HELP)
        command_line.CommandLine(words)


def complaint(error: BaseException | None) -> str | None:
    """Tell a refusal of the user's input from a fault in the program.

    Args:
        error: The error that was caught. For an error of jsonargparse, its cause is judged.

    Returns:
        The message of a refusal. None for an error that may be a fault.
    """
    if error is None:
        return None
    if isinstance(error, MisconfigurationException):
        return str(error)
    if isinstance(error, RuntimeError):
        return _other_weights(str(error)) if str(error).startswith(OTHER_WEIGHTS) else None
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    where = Path(calls[-1].f_code.co_filename)
    if "jsonargparse" in where.parts:
        return complaint(error.__cause__)
    checked = PACKAGE in where.parents or not MAKING.isdisjoint(call.f_code.co_name for call in calls)
    return str(error) if checked and _was_raised_by_a_statement(error) else None


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
