"""Show the progress of a study in one live display on a terminal. Nothing is shown elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar


@dataclass(frozen=True)
class Outlook:
    """The progress of a study in numbers.

    Args:
        done: The number of finished nodes.
        running: The names of the nodes that are being trained.
        nodes: The number of all nodes.
        failed: The number of failed nodes.
        epochs_left: The number of epochs that are still to be trained.
        epochs: The number of all epochs.
        trained: The number of epochs trained since the study was started.
    """

    done: int
    running: Sequence[str]
    nodes: int
    failed: int
    epochs_left: int
    epochs: int
    trained: int

    def words(self, seconds: float) -> str:
        """Describe the progress in a line.

        Args:
            seconds: The time since the study was started.

        Example:
            >>> Outlook(3, ["a", "b"], 10, 0, epochs_left=40, epochs=100, trained=20).words(10.0)
            '3 of 10 nodes done, 2 running, 5 waiting, 40 of 100 epochs left, about 0:20'
        """
        waiting = max(self.nodes - self.done - self.failed - len(self.running), 0)
        parts = [f"{self.done} of {self.nodes} nodes done", f"{len(self.running)} running", f"{waiting} waiting"]
        parts += [f"{self.failed} failed"] * (self.failed > 0)
        parts.append(f"{self.epochs_left} of {self.epochs} epochs left")
        if self.trained and self.epochs_left:
            left = int(seconds * self.epochs_left / self.trained)
            parts.append(f"about {left // 60}:{left % 60:02d}")
        return ", ".join(parts)


class Progress:
    """Show the progress of a study.

    Args:
        console: The console. Nothing is shown if it is no terminal. None: the standard error output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar = Bar(BarColumn(), TextColumn("{task.description}"), console=self.console, transient=True)
        self._began = time.monotonic()

    def __enter__(self) -> "Progress":
        self._began = time.monotonic()
        if self.console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def show(self, outlook: Outlook) -> None:
        """Show the present progress.

        Args:
            outlook: The numbers to show.
        """
        if self.console.is_terminal:
            words = outlook.words(time.monotonic() - self._began)
            done = outlook.epochs - outlook.epochs_left
            running = "".join(f"\n  {name}" for name in outlook.running)
            self._bar.update(self._task, total=outlook.epochs or 1, completed=done, description=words + running)
