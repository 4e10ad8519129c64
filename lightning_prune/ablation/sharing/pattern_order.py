"""Keep the order of name patterns in the hash of a node, where the first pattern that matches counts."""

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Any

from lightning_prune.basics.dotted_paths import class_at


def with_pattern_order(content: Any) -> Any:
    """Replace mappings whose order decides something by lists of pairs, because a hash ignores the order of keys.

    The order decides only between two patterns that can match the same name. A mapping in which the higher text comes
    first in each such pair stays a mapping: ``{"network.classifier": 0.1, "*": 0.2}``, as it is mostly written. So the
    names of nodes of earlier versions stay.

    Args:
        content: Plain values. The class in ``{"class_path": ..., "init_args": ...}`` says in ``first_match_counts``
            which of its arguments map patterns.

    Returns:
        Plain values.

    Example:
        >>> entry = {"class_path": "lightning_prune.Widths", "init_args": {"widths": {"*": 4, "first": 7}}}
        >>> with_pattern_order(entry)["init_args"]
        {'widths': [['*', 4], ['first', 7]]}
    """
    if isinstance(content, list | tuple):
        return [with_pattern_order(one) for one in content]
    if not isinstance(content, Mapping):
        return content
    found = {name: with_pattern_order(one) for name, one in content.items()}
    arguments = found.get("init_args")
    if isinstance(arguments, dict):
        for name in getattr(class_at(found["class_path"]), "first_match_counts", ()):
            if _order_decides(arguments.get(name) or ()):
                arguments[name] = [list(pair) for pair in arguments[name].items()]
    return found


def _order_decides(patterns: Any) -> bool:
    """Whether a lower text comes before a higher one, and both can match one name."""
    return any(first < second and can_match_one(first, second) for first, second in combinations(patterns, 2))


def can_match_one(first: str, second: str) -> bool:
    """Whether a name can match two patterns. A pattern stands for everything in the module that it names.

    Args:
        first: A pattern. ``*`` and ``?`` are as in file names.
        second: Another pattern.

    Returns:
        True also if we cannot tell, because of brackets.

    Example:
        >>> can_match_one("stages.*.first", "stages.0"), can_match_one("stages.0.*", "stages.1.*")
        (True, False)
    """
    if "[" in first + second:
        return True
    return any(_meet(one, other) for one in (first, f"{first}.*") for other in (second, f"{second}.*"))


@cache
def _meet(first: str, second: str) -> bool:
    """Whether one text fits both patterns: a star stands for nothing, or takes a sign of the other pattern."""
    if not first or not second:
        return not (first + second).strip("*")
    if first[0] == "*" or second[0] == "*":
        star, other = (first, second) if first[0] == "*" else (second, first)
        return _meet(star[1:], other) or _meet(star, other[1:])
    return (first[0] == second[0] or "?" in (first[0], second[0])) and _meet(first[1:], second[1:])
