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
    lines = text_table([HEADER, *rows]) if rows else ["No units can be removed."]
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


def text_table(rows: Sequence[Sequence[str]], right: bool = False) -> list[str]:
    """Lay out rows in columns.

    Args:
        rows: The cells of each row, the header first. All rows have the same length.
        right: Whether all columns but the first end at the same place, as numbers do. If not, the last column is not
            padded.

    Returns:
        A line for each row.

    Example:
        >>> text_table([("group", "units"), ("a", "16")], right=True)
        ['group  units', 'a         16']
    """
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last + 1)]
    return ["  ".join(_cell(row[n], widths[n], n, right, n == last) for n in range(last + 1)) for row in rows]


def _cell(text: str, width: int, column: int, right: bool, last: bool) -> str:
    if right and column:
        return text.rjust(width)
    return text if last else text.ljust(width)
