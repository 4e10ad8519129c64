"""Say in a few sentences what a study found, and what to do at a density."""

import pandas as pd

from lightning_prune.regimes.advice import advise
from lightning_prune.regimes.measured import caveat_of
from lightning_prune.regimes.study.cells import measured_of

NOTE = "The rules are reconstructed: figures and code of Zhou et al. 2023 were available, their pseudo-code was not."


def paragraph(cells: pd.DataFrame, best: pd.DataFrame, tolerance: float) -> list[str]:
    """Write a sentence or two for each density.

    Args:
        cells: The cells, with their regimes.
        best: The best temperatures.
        tolerance: The barrier that counts as none.

    Returns:
        A text for each density, and a note on the rules.
    """
    return [*(sentence(cells, row, tolerance) for row in best.to_dict("records")), NOTE]


def sentence(cells: pd.DataFrame, best: dict, tolerance: float) -> str:  # type: ignore[type-arg]
    """Write what was found at one density.

    Args:
        cells: The cells.
        best: The row of this density of the best temperatures.
        tolerance: The barrier that counts as none.
    """
    here = cells[cells["density"] == best["density"]]
    family = [measured_of(row) for row in here.to_dict("records")]
    last = next(one for one in family if one.temperature == best["last"])
    advice = advise(last, family, tolerance)
    said = f"At density {best['density']:.3g}: prune the network of {best['chosen']}{_errors(best)}. "
    if best["best"] != best["chosen"]:
        said += f"By validation, {best['best']} was the best ({_percent(best['error_best'])}). "
    chosen = next(one for one in family if one.temperature == best["chosen"])
    if caveat := caveat_of(chosen, family):
        said += f"{caveat} "
    sure = "clearly" if advice.is_clear else "but close to the border"
    words = {"raise": "raise the temperature", "lower": "lower the temperature", "keep": "keep it"}
    return said + f"The network of {best['last']} is in regime {advice.regime}, {sure}: {words[advice.direction]}."


def _errors(best: dict) -> str:  # type: ignore[type-arg]
    if pd.isna(best["error_chosen"]):
        return ""
    said = f", with a test error of {_percent(best['error_chosen'])}"
    if best["chosen"] == best["last"]:
        return said
    spread = "" if pd.isna(best["low"]) else f", 95 % interval {100 * best['low']:+.2f} to {100 * best['high']:+.2f}"
    return f"{said} ({100 * best['gain']:+.2f} points against {best['last']}{spread})"


def _percent(value: float) -> str:
    return f"{value:.1%}"
