"""Train nodes in as many processes of this machine as train most images a second together."""

from dataclasses import dataclass
from pathlib import Path

import torch

from lightning_prune.ablation.running.engines.local import Local, cores
from lightning_prune.ablation.running.engines.trial import read_trial, write_trial
from lightning_prune.ablation.training.job import Job, Outcome

NO_ROOM = ("OutOfMemoryError", "SIGKILL")  # In the error of a node that had too little memory.


@dataclass(frozen=True)
class Timed:
    """A node that is measured.

    Args:
        job: The node.
        slots: The number of workers.
        level: The number of workers at its start. None if one of them had not finished a node yet.
    """

    job: Job
    slots: int
    level: int | None


def tried_workers(out: Path) -> str:
    """Say which numbers of workers were tried in a study, and which was chosen. Empty if nothing was measured.

    Args:
        out: The folder of the study.
    """
    trial = read_trial(out, cores(), device_name())
    return trial.words() if trial.speeds else ""


def device_name() -> str:
    """The name of the GPU, or ``cpu``."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


class Auto(Local):
    """Train in several processes, whose number is found on the first nodes of the study.

    A number is measured over as many nodes as it has workers, while all of them train. The first node of a process
    does not count. No node is trained twice: the nodes of the trial are nodes of the study. Every process computes with
    the same number of threads throughout, so results do not depend on the number that is found.

    Args:
        out: The folder of the study. What was tried is kept there.
        logs: The folder for the logs.
    """

    def __init__(self, out: Path, logs: Path) -> None:
        self.trial, self.out = read_trial(out, cores(), device_name()), out
        super().__init__(self.trial.level, logs, most=cores())
        self._timed: dict[str, Timed] = {}
        self._speeds: list[float] = []
        self._again: list[Job] = []

    def submit(self, job: Job) -> None:
        worker = self._give(job)
        warm = [one for one in self._workers if one.finished]
        level = self.slots if worker.finished and len(warm) >= self.slots else None
        self._timed[job.node.key] = Timed(job, self.slots, level)

    def collect(self, seconds: float) -> list[Outcome]:
        busy = self._busy
        ended = [one for one in super().collect(seconds) if not self._is_tried_again(one)]
        for one in ended:
            self._measure(one, busy)
        while self._again and self._busy < self.slots:
            self.submit(self._again.pop())
        return ended

    def close(self) -> None:
        super().close()
        self._again = []

    @property
    def _busy(self) -> int:
        return sum(worker.job is not None for worker in self._workers)

    def _measure(self, outcome: Outcome, busy: int) -> None:
        """Take the speed of a node into account."""
        timed = self._timed.pop(outcome.key, None)
        if self.trial.is_over or timed is None or timed.level != self.slots or busy < self.slots:
            return
        if outcome.images and outcome.seconds:
            self._speeds.append(outcome.images / outcome.seconds)
        if len(self._speeds) >= self.slots:
            self._go_on(self.slots * sum(self._speeds) / len(self._speeds))

    def _is_tried_again(self, outcome: Outcome) -> bool:
        """Train a node again with fewer workers, if it failed because they had too little memory for so many."""
        failed = outcome.error is not None and any(word in outcome.error for word in NO_ROOM)
        timed = self._timed.get(outcome.key)
        if not failed or timed is None or timed.slots == 1:
            return False
        if timed.slots == self.slots:
            self._go_on(0.0)
        self._again.append(timed.job)
        return True

    def _go_on(self, speed: float) -> None:
        """Note the speed of the present number of workers, and go on with the next number."""
        self.trial.note(self.slots, speed)
        write_trial(self.out, self.trial)
        self.slots, self._speeds = self.trial.level, []
