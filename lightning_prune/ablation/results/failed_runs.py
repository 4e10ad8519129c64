"""What failed in a study, told at its end: which runs, why, and in which files the tracebacks lie."""

from pathlib import Path

from lightning_prune.ablation.running.loop import Course, Running
from lightning_prune.ablation.sharing.node import Node

LOGS = "logs"


class RunsFailed(RuntimeError):
    """Runs of a study failed. What is finished stays; the cause is the first error, as its process told it."""


class NodeFailed(RuntimeError):
    """The traceback of a node, as the process that trained it wrote it down."""


class Tracebacks:
    """Keeps the traceback of each node that fails in a file, from the moment at which it fails.

    Args:
        out: The folder of the study; the files go into ``logs`` in it.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / LOGS

    def path(self, node: Node) -> Path:
        """The file of a node."""
        return self.folder / f"{node.name}.log"

    def take(self, node: Node, details: str) -> None:
        """Keep the traceback of a node; an empty one removes what an earlier attempt has left.

        Args:
            node: The node.
            details: Where the error was raised; empty if the node did not fail.
        """
        if details:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path(node).write_text(details, encoding="utf-8", errors="backslashreplace")
        else:
            self.path(node).unlink(missing_ok=True)


def raise_if_failed(running: Running, tracebacks: Tracebacks) -> None:
    """Raise what a table of missing values would hide.

    Args:
        running: A study that was run to its end.
        tracebacks: Where the tracebacks are.

    Raises:
        RunsFailed: If a run failed; names the first one, and the files. Its cause is the first error.
    """
    failed = [course for course in running.courses if course.error is not None]
    if not failed:
        return
    first, node = failed[0], _failed_node(failed[0], running)
    said = [
        f"Ablation.run: {len(failed)} of {len(running.courses)} runs failed. The first is arm {first.run.arm!r}, seed "
        f"{first.run.seed}: {first.error}",
        *([] if node is None else [f"Its traceback is {tracebacks.path(node)}; others lie beside it."]),
        "What is finished is kept: run the study again to go on. errors='keep' returns the table all the same.",
    ]
    raise RunsFailed("\n".join(said)) from (None if node is None else NodeFailed(running.details[node.key]))


def _failed_node(course: Course, running: Running) -> Node | None:
    """The node on which a run ended, if it was one with a traceback."""
    return next((node for node in reversed(course.candidates) if running.details.get(node.key)), None)
