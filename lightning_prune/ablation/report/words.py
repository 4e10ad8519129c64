"""Write the numbers of a study as words: counts, intervals, differences, times."""

import math

from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.terminal import number, score


def plural(count: int, thing: str) -> str:
    """Count things.

    Example:
        >>> plural(1, "seed"), plural(18, "run")
        ('1 seed', '18 runs')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def between(label: str, low: float, high: float) -> str:
    """Write an interval of a measure. A fraction stays between 0 and 1. With one seed there is no interval.

    Example:
        >>> between("val/accuracy", 0.91, 1.02), between("val/loss", float("nan"), float("nan"))
        ('91.0 % to 100.0 %', 'none')
    """
    if math.isnan(low):
        return "none"
    low, high = (max(low, 0.0), min(high, 1.0)) if is_fraction(label) else (low, high)
    return f"{score(label, low)} to {score(label, high)}"


def difference(label: str, value: float) -> str:
    """Write a difference of a measure with its sign. Differences of fractions are in percentage points.

    Example:
        >>> difference("val/accuracy", 0.0123), difference("val/loss", -0.5)
        ('+1.23 points', '-0.5000')
    """
    return f"{100 * value:+.2f} points" if is_fraction(label) else f"{'+' if value > 0 else ''}{number(value)}"


def around(label: str, mean: float, low: float) -> str:
    """Write a mean and the half-width of its interval. A small half-width gets one more digit, and is never 0.

    Example:
        >>> around("val/accuracy", 0.93, 0.918), around("val/accuracy", 0.93, 0.92988)
        ('93.0 ± 1.2 %', '93.0 ± 0.01 %')
        >>> around("val/loss", 0.5, float("nan"))
        '0.5000'
    """
    reach = mean - low
    if math.isnan(reach) or reach <= 0:
        return score(label, mean)
    if is_fraction(label):
        return f"{100 * mean:.1f} ± {_not_zero(100 * reach, f'{100 * reach:.1f}')} %"
    return f"{number(mean)} ± {_not_zero(reach, number(reach))}"


def duration(seconds: float) -> str:
    """Write a time with a unit that suits its length.

    Example:
        >>> duration(42.3), duration(600), duration(7000)
        ('42 s', '10 min', '1.9 h')
    """
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def listed(words: list[str]) -> str:
    """Join words as in a sentence.

    Example:
        >>> listed(["silo", "clr", "fine-tune"])
        'silo, clr and fine-tune'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def shares(part: float, whole: float) -> str:
    """Write a part of a whole in percent.

    Example:
        >>> shares(615, 1080)
        '57 %'
        >>> shares(0, 0)  # A part of nothing.
        '0 %'
    """
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _not_zero(value: float, text: str) -> str:
    """The text, unless its number is rounded to 0 and the value is more than 0."""
    return text if float(text) > 0 else f"{value:.1g}"
