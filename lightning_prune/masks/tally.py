"""How much of a network lives: counted by tensor, and as a fraction."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Size


@dataclass(frozen=True)
class Tally:
    """How many weights live.

    Args:
        shapes: The shapes of the tensors that have masks, by name.
        living: The number of living weights of each, by name.
        sparsity: The fraction that is dead of what the schedule counts, in [0, 1).

    Example:
        >>> tally = Tally({"a": Size([4])}, {"a": 3}, 0.25)
        >>> tally.size, tally.alive
        (4, 3)
    """

    shapes: Mapping[str, Size]
    living: Mapping[str, int]
    sparsity: float

    @property
    def size(self) -> int:
        """The number of weights."""
        return sum(shape.numel() for shape in self.shapes.values())

    @property
    def alive(self) -> int:
        """The number of living weights."""
        return sum(self.living.values())
