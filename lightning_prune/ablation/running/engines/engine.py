"""What every engine can do: begin a job, wait for the ends of jobs, and stop."""

from abc import ABC, abstractmethod

from lightning_prune.ablation.training.job import Job, Outcome


class Engine(ABC):
    """Trains jobs, as many at once as it has slots.

    Attributes:
        slots: How many; it may change while the study runs.
    """

    slots: int

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Begin a job; only as long as there is a free slot."""

    @abstractmethod
    def collect(self, seconds: float) -> list[Outcome]:
        """Wait for jobs to end.

        Args:
            seconds: How long at most.

        Returns:
            What became of those that ended; empty if none did.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop what is running and free what is held."""
