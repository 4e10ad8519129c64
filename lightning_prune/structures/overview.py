"""The groups of a network as a table, and what cannot be removed from it, as text."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

HEADER = ("group", "units", "weights", "operations", "coupled", "tensors and dimensions")


def overview(rows: Sequence[Sequence[str]], obstacles: Mapping[str, str], kept: Iterable[tuple[str, str]]) -> str:
    """Write the table of groups, and the reasons.

    Args:
        rows: The cells of each group.
        obstacles: For groups that can be masked only, the reason.
        kept: Dimensions that are never removed, with the reason of each.

    Returns:
        Lines of text.

    Example:
        >>> print(overview([], {}, [("head.weight[0]", "the network returns it")]))
        No units can be removed.
        <BLANKLINE>
        Never removed:
          the network returns it: head.weight[0]
    """
    lines = _table(rows) if rows else ["No units can be removed."]
    if obstacles:
        lines += ["", "Can be masked, but not removed:", *(f"  {name}: {why}" for name, why in obstacles.items())]
    by_reason: dict[str, list[str]] = defaultdict(list)
    for place, reason in kept:
        by_reason[reason].append(place)
    if by_reason:
        lines += ["", "Never removed:", *(f"  {reason}: {', '.join(places)}" for reason, places in by_reason.items())]
    return "\n".join(lines)


def percent(part: int, whole: int) -> str:
    """A share in percent.

    Example:
        >>> percent(1, 8), percent(0, 0)
        ('12.5 %', '-')
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [HEADER, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADER) - 1)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] for row in cells)
    return ["  ".join([*start, row[-1]]) for start, row in zip(padded, cells, strict=True)]
