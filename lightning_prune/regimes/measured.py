"""What is known of one pruned network: a cell of the map of temperature and density."""

from dataclasses import dataclass
from typing import Any

from lightning_prune.basics.checks import require


@dataclass(frozen=True)
class Measured:
    """Numbers of two or more retrained copies of one pruned network, which differ in the order of their data only.

    Args:
        lmc: Linear mode connectivity of the copies, of training errors as fractions: negative where a barrier is.
        cka: Similarity of their outputs. NaN if it is not known.
        density: The fraction of the prunable weights that is left, in (0, 1]. 1 stands for a dense network.
        temperature: What tells its dense run from others: epochs, a batch size, the path of a checkpoint, any value.
        error: Test error of the copies, as a fraction. None if it is not known.
        spread: Standard error of ``lmc`` over pairs and seeds, at least 0. 0 if it is not known.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> Measured(lmc=-0.66, cka=0.89, density=0.06, temperature=160).density
        0.06
    """

    lmc: float
    cka: float = float("nan")
    density: float = 1.0
    temperature: Any = None
    error: float | None = None
    spread: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.density <= 1, "Measured", "density", self.density, "lie in (0, 1], the fraction that is left")
        require(self.spread >= 0, "Measured", "spread", self.spread, "be at least 0")
        require(self.lmc == self.lmc, "Measured", "lmc", self.lmc, "be a number")
