"""How the time of a forward pass is measured, of which a sparsity may be a fraction."""

from dataclasses import dataclass

from lightning_prune.basics.checks import check_at_least_one


@dataclass(frozen=True)
class Latency:
    """Let a sparsity be a fraction of the time of a forward pass: ``IterativePruning(measure=Latency(batch=8))``.

    The times are measured when training starts, on the device that trains: those of the layers, with one group of units
    narrowed at a time and with all groups narrowed together. What lies between the measured widths is interpolated. So
    the time of a pruned network is an estimate. When the fit is over, it is measured, and the result is printed.

    Args:
        batch: The number of samples in a batch.
        threads: The number of threads that an operation may use.
        rounds: How often each width is measured. The shortest time counts.

    Raises:
        ValueError: If an argument is below 1.

    Example:
        >>> from lightning_prune import IterativePruning, OneShot, Structures
        >>> halved = IterativePruning(
        ...     cycles=1, sparsity=OneShot(0.5), granularity=Structures(round_to=8), measure=Latency(batch=1, threads=1)
        ... )
    """

    batch: int = 1
    threads: int = 1
    rounds: int = 5

    def __post_init__(self) -> None:
        for name in ("batch", "threads", "rounds"):
            check_at_least_one("Latency", name, getattr(self, name))
