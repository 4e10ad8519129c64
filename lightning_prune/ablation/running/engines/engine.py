"""Define the interface of every engine: begin a job, wait for the ends of jobs, and stop."""

from abc import ABC, abstractmethod

from lightning_prune.ablation.training.job import Job, Outcome


class Engine(ABC):
    """Train jobs, as many at once as the engine has slots.

    Attributes:
        slots: The number of slots. It may change while the study runs.
    """

    slots: int

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Begin a job. The caller must see that a slot is free."""

    @abstractmethod
    def collect(self, seconds: float) -> list[Outcome]:
        """Wait for jobs to end.

        Args:
            seconds: The longest time to wait.

        Returns:
            The outcomes of the jobs that ended. Empty if no job ended.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the running jobs and free all resources."""
