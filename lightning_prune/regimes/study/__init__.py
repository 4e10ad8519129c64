"""Train the networks of a map of temperature and density, measure them, and draw the regimes."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.regimes.study.regime_study import RegimeStudy
    from lightning_prune.regimes.study.rewind_points import Stability, stability

__all__ = ["RegimeStudy", "Stability", "stability"]

if not TYPE_CHECKING:
    PLACES = {"RegimeStudy": "regime_study", "Stability": "rewind_points", "stability": "rewind_points"}
    __getattr__ = late_names(__name__, PLACES, extra="studies")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
