"""What to change in the dense run before a network is pruned again, and which network of a family to prune.

The paper gives the directions. Its pseudo-code and its thresholds were not available, so the rules are reconstructed,
and tested on the maps that the authors published.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from lightning_prune.basics.checks import check_at_least
from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.measured import Measured, caveat_of

Regime = Literal["I", "II", "II-A", "II-B"]
Direction = Literal["raise", "lower", "keep"]

# What raises and what lowers the temperature. Read in the paper's material for epochs; the others are its analogy.
CHANGES: Mapping[str, tuple[str, str]] = {
    "epochs": ("fewer", "more"),
    "batch_size": ("smaller", "larger"),
    "learning_rate": ("higher", "lower"),
    "rho": ("larger", "smaller"),
    "weight_decay": ("higher", "lower"),
}
_MEANING: Mapping[str, str] = {
    "I": "poorly connected",
    "II": "well connected",
    "II-A": "well connected, but others of its family are more similar",
    "II-B": "well connected, and the most similar of its family",
}


@dataclass(frozen=True)
class Advice:
    """The regime of a pruned network, and what to do about it.

    Args:
        regime: ``"I"``: the copies are poorly connected. ``"II"``: they are well connected. With a family at hand:
            ``"II-B"`` for the most similar ones of it, ``"II-A"`` for others.
        direction: What to do with the temperature of the dense run.
        is_clear: Whether the regime is the same for half and for twice the tolerance, two standard errors included.
        measured: What the advice is about.
        tolerance: The tolerance.
        caveat: A sentence if the copies have learned much less than others of the family, else an empty text.
    """

    regime: Regime
    direction: Direction
    is_clear: bool
    measured: Measured
    tolerance: float
    caveat: str = ""

    @property
    def changes(self) -> dict[str, str]:
        """What each kind of temperature should become: ``{"epochs": "fewer", ...}``. Each alone has the effect."""
        words = {"raise": 0, "lower": 1}
        place = words.get(self.direction)
        return {kind: "as it is" if place is None else both[place] for kind, both in CHANGES.items()}

    def __str__(self) -> str:
        sure = "clearly" if self.is_clear else "but close to the border, so measure more copies"
        if self.direction == "keep":
            advice = "Keep the temperature of the dense run."
        else:
            listed = ", ".join(f"{change} {kind.replace('_', ' ')}" for kind, change in self.changes.items())
            advice = f"{self.direction.capitalize()} the temperature of the dense run: one of {listed}."
        return (
            f"Regime {self.regime} at density {self.measured.density:.3g} ({_MEANING[self.regime]}; LMC "
            f"{self.measured.lmc:+.3f}, tolerance {self.tolerance:g}), {sure}. {advice} {self.caveat}"
        ).rstrip()


class Studied(Protocol):
    """A study that has measured a family at several densities, such as ``RegimeStudy``."""

    def advise(self, density: float, temperature: Any = None, tolerance: float | None = None) -> Advice:
        """Say whether the temperature should go up or down for one density."""


def advise(
    measured: Measured | Studied,
    family: Iterable[Measured] = (),
    tolerance: float | None = None,
    density: float | None = None,
) -> Advice:
    """Say whether the temperature of the dense run should go up or down, for one density.

    Regime I (``lmc < -tolerance``): raise it. Regime II: lower it, until the copies are no longer connected. If other
    temperatures were measured at the same density, the connected one with the highest CKA is kept.

    A tolerance of 0 would be wrong: at 5 % density, the best networks of the paper have an LMC of -0.1 to -0.25. On the
    published map, 0.1 gives the right direction for 98.5 % of the cells with more than half a point of error at stake.

    The rule takes for granted that the copies have learned. If training errors are known, and that of connected copies
    is more than 10 points above the lowest of the family, ``caveat`` and the text of the advice say so.

    Reference: Zhou, Yang, Chang & Mahoney, A Three-regime Model of Network Pruning, 2023,
    https://arxiv.org/abs/2305.18383. The rule is reconstructed from its figures.

    Args:
        measured: The network that was measured, or a study that was run.
        family: Networks of other temperatures. Those of another density are left out. A study has its own.
        tolerance: The barrier that still counts as none, at least 0, as a fraction of the training examples. None: 0.1,
            or that of the study.
        density: The density, for a study. It starts from the last of its temperatures.

    Raises:
        ValueError: If the tolerance is negative, or a study comes without a density.

    Example:
        >>> print(advise(Measured(lmc=-0.669, cka=0.891, density=0.06, temperature=160)))
        Regime I at density 0.06 (poorly connected; LMC -0.669, tolerance 0.1), clearly. Raise the temperature of the \
dense run: one of fewer epochs, smaller batch size, higher learning rate, larger rho, higher weight decay.
        >>> advise(Measured(lmc=0.0, density=0.4)).changes["rho"]
        'smaller'
    """
    if not isinstance(measured, Measured):
        if density is None:
            raise UserError("advise(study) needs the density to prune to: advise(study, density=0.06).")
        return measured.advise(density, tolerance=tolerance)
    tolerance = 0.1 if tolerance is None else tolerance
    check_at_least("advise", 0, {"tolerance": tolerance})
    others = [one for one in family if one.density == measured.density and one != measured]
    is_clear = _is_clear(measured, tolerance)
    if measured.lmc < -tolerance:
        return Advice("I", "raise", is_clear, measured, tolerance)
    if not others:
        return Advice("II", "lower", is_clear, measured, tolerance)
    caveat = caveat_of(measured, others)
    if most_similar([measured, *others], tolerance=tolerance) is measured:
        return Advice("II-B", "keep", is_clear, measured, tolerance, caveat)
    return Advice("II-A", "lower", is_clear, measured, tolerance, caveat)


def choose(family: Iterable[Measured], density: float | None = None, tolerance: float = 0.1) -> Measured:
    """Choose which network of a family to prune: the most similar of the connected ones, else the least unconnected.

    On the published maps, the choice costs at most 0.6 points of error against the best of 16 networks, at each of nine
    densities. The fully trained network costs up to 3.3.

    Reference: Zhou, Yang, Chang & Mahoney, A Three-regime Model of Network Pruning, 2023,
    https://arxiv.org/abs/2305.18383. The rule is reconstructed from its figures.

    Args:
        family: Networks that were measured at one density, with different temperatures.
        density: The density, if they are of several.
        tolerance: As for :func:`advise`.

    Returns:
        One of the family. The first of equal ones. A warning says so if training errors are known, and that of the
        chosen network is more than 10 points above the lowest: its copies may be alike because they have not learned.

    Raises:
        ValueError: If there is none of this density, they are of several densities, or CKA is missing.

    Example:
        >>> hot, middle = Measured(-0.044, 0.922, 0.06, 10), Measured(-0.092, 0.929, 0.06, 80)
        >>> cold = Measured(-0.669, 0.891, 0.06, 160)
        >>> choose([hot, middle, cold]).temperature
        80
    """
    family = list(family)
    chosen = most_similar(family, density, tolerance)
    if caveat := caveat_of(chosen, _of_density(family, density)):
        warnings.warn(f"choose(...): {caveat}", stacklevel=2)
    return chosen


def most_similar(family: Iterable[Measured], density: float | None = None, tolerance: float = 0.1) -> Measured:
    """Choose as :func:`choose` does, without a warning.

    Args:
        family: As for :func:`choose`.
        density: As for :func:`choose`.
        tolerance: As for :func:`advise`.

    Raises:
        ValueError: As :func:`choose` does.
    """
    check_at_least("choose", 0, {"tolerance": tolerance})
    cells = _of_density(family, density)
    _refuse_mixed(cells, density)
    connected = [one for one in cells if one.lmc >= -tolerance]
    if not connected:
        return max(cells, key=lambda one: one.lmc)
    if any(math.isnan(one.cka) for one in connected) and len(connected) > 1:
        raise UserError(
            "choose(...) compares the CKA of connected networks, and it is missing: give Measured(cka=...)."
        )
    return max(connected, key=lambda one: one.cka)


def _of_density(family: Iterable[Measured], density: float | None) -> list[Measured]:
    return [one for one in family if density is None or math.isclose(one.density, density)]


def _is_clear(measured: Measured, tolerance: float) -> bool:
    low, high = measured.lmc - 2 * measured.spread, measured.lmc + 2 * measured.spread
    return high < -2 * tolerance or low >= -tolerance / 2


def _refuse_mixed(cells: Sequence[Measured], density: float | None) -> None:
    found = sorted({one.density for one in cells})
    if not found:
        raise UserError(f"choose(density={density}) has no network of this density to choose from.")
    if len(found) > 1:
        raise UserError(
            f"choose(...) compares networks of one density, and these have {found}: give density={found[0]}."
        )
