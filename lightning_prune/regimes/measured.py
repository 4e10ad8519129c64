"""What is known of one pruned network: a cell of the map of temperature and density."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lightning_prune.basics.checks import check_numbers, is_number, require

_MUCH = 0.1 + 1e-9  # ten points of training error, and what a sum of floats may add


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
        train_error: Training error of the copies, as a fraction. None if it is not known.

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
    train_error: float | None = None

    def __post_init__(self) -> None:
        check_numbers("Measured", {"density": self.density, "spread": self.spread})
        require(0 < self.density <= 1, "Measured", "density", self.density, "lie in (0, 1], the fraction that is left")
        require(self.spread >= 0, "Measured", "spread", self.spread, "be at least 0")
        require(is_number(self.lmc), "Measured", "lmc", self.lmc, "be a number")
        error = self.train_error
        check_numbers("Measured", {"train_error": error}, none=True)
        require(error is None or 0 <= error <= 1, "Measured", "train_error", error, "lie in [0, 1], or be None")


def caveat_of(measured: Measured, family: Iterable[Measured]) -> str:
    """Say so if the copies of a network have learned much less than others. LMC and CKA then tell little.

    The rules of the paper take for granted that all copies have learned. Copies that fail alike are connected and
    similar, too.

    Args:
        measured: The network.
        family: Networks of the same density.

    Returns:
        A sentence if the training error is more than 10 points above the lowest one of the family. An empty text if it
        is not, or if the training errors are not known.

    Example:
        >>> others = [Measured(-0.2, train_error=0.23, temperature="20 epochs")]
        >>> caveat_of(Measured(0.0, train_error=0.33), others)
        ''
        >>> print(caveat_of(Measured(0.0, train_error=0.76, temperature="1 epoch"), others))
        The copies of 1 epoch have a training error of 76.0 %, and those of 20 epochs have 23.0 %. Copies that have \
learned little are connected and similar, too: compare validation errors before you choose.
    """
    known = [(one.train_error, one) for one in family if one.train_error is not None]
    if not known or measured.train_error is None:
        return ""
    lowest, best = min(known, key=lambda one: one[0])
    if measured.train_error <= lowest + _MUCH:
        return ""
    here, there = ("one network" if one.temperature is None else one.temperature for one in (measured, best))
    return (
        f"The copies of {here} have a training error of {100 * measured.train_error:.1f} %, and those of {there} have "
        f"{100 * lowest:.1f} %. Copies that have learned little are connected and similar, too: compare validation "
        "errors before you choose."
    )
