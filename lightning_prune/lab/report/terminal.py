"""Write numbers for a reader, in percent and with few digits, and open a console as wide as the tables need."""

from rich.console import Console

from lightning_prune.lab.metric_names import is_fraction
from lightning_prune.lab.report.logged_run import Run

WIDTH_OF_A_FILE = 120


def report_console() -> Console:
    """Open a console as wide as the terminal. Without a terminal it is wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)


def progress_of(run: Run) -> str | None:
    """Describe the progress of a run that did not reach its end."""
    if run.record is None or run.finished:
        return None
    begun, planned = len(run.record["cycles"]), run.record["settings"]["cycles"]
    where = f"in cycle {begun} of {planned}" if begun else f"in the dense training, before {planned} cycles"
    return f"Not finished: the run is still going or was interrupted, {where}."


def score(name: str, value: float) -> str:
    """Write a metric: a fraction in percent, anything else as a number.

    Example:
        >>> score("test/accuracy", 0.931), score("test/loss", 0.2)
        ('93.1 %', '0.2000')
    """
    return percent(value) if is_fraction(name) else number(value)


def percent(fraction: float) -> str:
    """Write a fraction in percent, with one decimal. Small fractions get two significant digits.

    Example:
        >>> percent(0.0439), percent(0.00047), percent(1.0)
        ('4.4 %', '0.047 %', '100.0 %')
    """
    return f"{100 * fraction:.1f} %" if fraction >= 0.01 or fraction == 0 else f"{100 * fraction:.2g} %"


def number(value: float) -> str:
    """Write a number with four decimals. A large number is written with four digits.

    Example:
        >>> number(0.00123456), number(0.3), number(4096.2)
        ('0.0012', '0.3000', '4096')
    """
    return f"{value:.4f}" if abs(value) < 10 else f"{value:#.4g}".rstrip(".")


def rate_range(low: float, high: float) -> str:
    """Write a range of learning rates, or one rate if both are equal.

    Example:
        >>> rate_range(0.001, 0.1), rate_range(0.01, 0.01)
        ('0.001-0.1', '0.01')
    """
    return f"{high:.2g}" if low == high else f"{low:.2g}-{high:.2g}"
