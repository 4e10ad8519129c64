"""Train one node after the other in this process."""

from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.training.job import Job, Outcome
from lightning_prune.ablation.training.kept import Kept
from lightning_prune.ablation.training.train_node import train


class Here(Engine):
    """Train in this process. Ctrl-C interrupts it as any training."""

    slots = 1

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._kept = Kept()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def collect(self, seconds: float) -> list[Outcome]:
        return [train(self._jobs.pop(0), self._kept)] if self._jobs else []

    def close(self) -> None:
        self._jobs.clear()
        self._kept = Kept()
