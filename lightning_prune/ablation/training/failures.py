"""Explain the failure of a node in one line for the table, and detect a full disk, which stops every other node."""

import errno
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.lab.visible import visible

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# The texts of torch, which does not say why it could not write.
WRITER = ("inline_container", "PytorchStreamWriter", "file write failed")
LITTLE_SPACE = 32 * 2**20  # bytes


class DiskFull(RuntimeError):
    """Raised when the disk has no space left for a study."""


def failure(job: Job, error: Exception) -> Outcome:
    """Say why a node failed, and whether all other nodes will fail as well.

    Args:
        job: The node.
        error: The error that was raised.
    """
    details = visible("".join(traceback.format_exception(error)))
    if (full := why_full(error, job.out)) is not None:
        return Outcome(job.node.key, advice(full, job.out), fatal=True, details=details)
    said = visible(" ".join(str(error).split()))
    return Outcome(job.node.key, f"{type(error).__name__}: {said}" if said else type(error).__name__, details=details)


def why_full(error: BaseException, folder: str | Path) -> str | None:
    """Tell a full disk from other errors.

    Args:
        error: The error that was raised, or an error that followed from it.
        folder: The folder that was written into.

    Returns:
        The message of the system. None for any other error.

    Example:
        >>> why_full(OSError(28, "No space left on device"), "."), why_full(ValueError("lr=-1"), ".")
        ('No space left on device', None)
    """
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in NO_SPACE:
            return str(one.strerror or one)
        if isinstance(one, RuntimeError) and any(word in str(one) for word in WRITER):
            place = Path(folder) if Path(folder).exists() else Path()
            if shutil.disk_usage(place).free < LITTLE_SPACE:
                return "No space left on device"
    return None


def advice(said: str, folder: str | Path) -> str:
    """Say what to do about a full disk.

    Args:
        said: The message of the system.
        folder: The folder of the study, or of its nodes.
    """
    running = Path(folder, "running")
    begun = f" (what is in {running} may be deleted while nothing runs)" if running.is_dir() else ""
    return (
        f"The disk of {folder} is full ({said}). Nothing that is finished is lost: free some space there{begun}, and "
        "run the same command again."
    )


@contextmanager
def said_of_disk(folder: str | Path) -> Iterator[None]:
    """Turn the error of a full disk, raised in the block, into one that says what to do.

    Args:
        folder: The folder of the study.

    Raises:
        DiskFull: In place of the system's error.
    """
    try:
        yield
    except OSError as error:
        if (full := why_full(error, folder)) is None:
            raise
        raise DiskFull(advice(full, folder)) from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
