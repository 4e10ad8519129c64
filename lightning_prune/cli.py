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

from lightning_prune.basics.file_names import STUDY
from lightning_prune.basics.user_error import UserError

DEBUG = "LIGHTNING_PRUNE_DEBUG"
# The commands that need no Trainer: the module with the command's `main(words)`, and its line in --help.
COMMANDS = {
    "ablate": ("ablation.command", "Compare arms over seeds, training what they share only once."),
    "report": ("lab.report.run_command", "Report runs with a table per cycle, CSV files and pictures."),
}
STUDY_REPORT = "ablation.report.report_command"  # `report`, given the folder of a study
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
    except Exception as error:
        message = refusal(error) or unwritable(error, words)
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
    # We import late, because the extra may be missing, and because most commands need no Trainer.
    command = words[0] if words else ""
    if command in COMMANDS:
        studied = command == "report" and any(Path(word, STUDY).is_file() for word in words[1:])
        module, _ = (STUDY_REPORT, "") if studied else COMMANDS[command]
        importlib.import_module(f"lightning_prune.{module}").main(words[1:])
    else:
        command_line = importlib.import_module("lightning_prune.lab.cli.command_line")
        ablate = importlib.import_module("lightning_prune.ablation.command")
        command_line.OTHER_COMMANDS["ablate"] = (ablate.ablate_parser, ablate.HELP)
        command_line.CommandLine(words)


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
