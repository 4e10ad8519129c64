"""Hold how long a network takes, as a whole and by layer."""

from dataclasses import dataclass

from lightning_prune.deployment.profiling.turns import Times


@dataclass(frozen=True)
class Timing:
    """How long a batch takes in a runtime.

    Args:
        runtime: The name of the runtime.
        threads: The number of threads.
        batch: The number of samples in the batch.
        this: The times of the network.
        against: The times of the other network, measured in turn. None if there is none.
    """

    runtime: str
    threads: int
    batch: int
    this: Times
    against: Times | None = None

    @property
    def speedup(self) -> float | None:
        """How many times faster the network is than the other one, by the shortest times."""
        return None if self.against is None else self.against.minimum / self.this.minimum


@dataclass(frozen=True)
class LayerTime:
    """Where time goes.

    Args:
        name: The dotted name of a layer. ``""`` is the network itself.
        kind: Its class.
        seconds: Its shortest time, without the layers that it calls.
        against: The same in the other network. None if it has no such layer, or there is no other network.
    """

    name: str
    kind: str
    seconds: float
    against: float | None = None
