"""Show the progress of a run in lines: one at the end of a cycle, and without a bar now and then in a long cycle."""

import time
from collections.abc import Callable

SECONDS_OF_SILENCE = 30.0


class ProgressLines:
    """Write a line about each cycle at its end.

    Args:
        write: Called with each line.
        now: Returns the time in seconds.
        silence: The number of seconds after which a line is written within a cycle.

    Example:
        >>> lines = ProgressLines(print, now=iter([0.0, 1.0, 12.1, 13.0]).__next__)
        >>> lines.enter("dense")
        >>> lines.epoch_ended("val/accuracy 97.0 %", "epoch 30/60")
        >>> lines.enter("cycle 1/2 · sparsity 20.0 %")
        dense · val/accuracy 97.0 % · 12.1 s
    """

    def __init__(
        self,
        write: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        silence: float = SECONDS_OF_SILENCE,
    ) -> None:
        self.write = write
        self.now = now
        self.silence = silence
        self.where: str | None = None
        self.result: str | None = None
        self.entered = 0.0
        self.written = 0.0

    def enter(self, where: str) -> None:
        """Set the present cycle. A new cycle ends the one before.

        Args:
            where: The cycle, in words.
        """
        if where != self.where:
            now = self.now()
            self._sum_up(now)
            self.where, self.result = where, None
            self.entered = self.written = now

    def epoch_ended(self, result: str, epoch: str) -> None:
        """Keep the result of an epoch, and write it if nothing was written for a long time.

        Args:
            result: The measured values, in words.
            epoch: The epoch, in words.
        """
        self.result = result
        now = self.now()
        if now - self.written > self.silence:
            self.written = now
            self._line(epoch, result)

    def leave(self) -> None:
        """End the last cycle."""
        self._sum_up(self.now())
        self.where = self.result = None

    def _sum_up(self, now: float) -> None:
        if self.result is not None:
            self._line(self.result, f"{now - self.entered:.1f} s")

    def _line(self, *parts: str) -> None:
        self.write(" · ".join(part for part in (self.where, *parts) if part))
