"""Report the failed runs at the end of a study, with their errors and the files of their tracebacks."""

from pathlib import Path

from lightning_prune.ablation.running.loop import Course, Running
from lightning_prune.ablation.sharing.node import Node

LOGS = "logs"


class RunsFailed(RuntimeError):
    """Raised when runs of a study failed. Finished nodes stay. The cause is the first error, as its process told it."""


class NodeFailed(RuntimeError):
    """The traceback of a node, as the process that trained it wrote it down."""


class Tracebacks:
    """Write the traceback of each failed node to a file, as soon as the node fails.

    Args:
        out: The folder of the study. The files go into its folder ``logs``.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / LOGS

    def path(self, node: Node) -> Path:
        """The file of a node."""
        return self.folder / f"{node.name}.log"

    def take(self, node: Node, details: str) -> None:
        """Keep the traceback of a node. An empty traceback removes the file of an earlier attempt.

        Args:
            node: The node.
            details: The traceback. Empty if the node did not fail.
        """
        if details:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.path(node).write_text(details, encoding="utf-8", errors="backslashreplace")
        else:
            self.path(node).unlink(missing_ok=True)


def raise_if_failed(running: Running, tracebacks: Tracebacks) -> None:
    """Raise an error if runs failed. A table would only have missing values there.

    Args:
        running: A study that was run to its end.
        tracebacks: The files of the tracebacks.

    Raises:
        RunsFailed: If a run failed. The message names the first failed run and the file. The cause is the first error.
    """
    failed = [course for course in running.courses if course.error is not None]
    if not failed:
        return
    first, node = failed[0], _failed_node(failed[0], running)
    said = [
        f"Ablation.run: {len(failed)} of {len(running.courses)} runs failed. The first is arm {first.run.arm!r}, seed "
        f"{first.run.seed}: {first.error}",
        *([] if node is None else [f"Its traceback is {tracebacks.path(node)}. Other tracebacks lie beside it."]),
        "What is finished is kept: run the study again to go on. errors='keep' returns the table all the same.",
    ]
    raise RunsFailed("\n".join(said)) from (None if node is None else NodeFailed(running.details[node.key]))


def _failed_node(course: Course, running: Running) -> Node | None:
    """The node at which a run failed. None if no node of the run has a traceback."""
    return next((node for node in reversed(course.candidates) if running.details.get(node.key)), None)
