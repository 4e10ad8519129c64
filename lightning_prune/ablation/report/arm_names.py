"""Make names of arms drawable. A control character in a name ends the program that draws the pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lightning_prune.lab.visible import is_shown

# The names that every JavaScript object has. Vega confuses an arm of such a name with them, and draws nothing.
JAVASCRIPT = frozenset({
    "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__",
})  # fmt: skip
NOTHING = "\u200b"  # A space of no width.


def drawable(text: str) -> str:
    r"""Write a name so that it can be drawn and keeps its look.

    Args:
        text: A name, or any other text.

    Returns:
        The text with a sign for each control character. A name that JavaScript itself uses gets a space of no width.

    Example:
        >>> drawable("one cycle"), drawable("one\x07cycle"), len(drawable("constructor"))
        ('one cycle', 'one␇cycle', 12)
    """
    shown = "".join(letter if is_shown(letter) else _sign(letter) for letter in text)
    return shown + NOTHING * (shown in JAVASCRIPT)


def rename(facts: Mapping[str, Any], table: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """Give every arm of a study a name that can be drawn. Two arms never get the same name.

    Args:
        facts: study.json.
        table: The tidy table.

    Returns:
        Both with the new names. Most names stay as they are.
    """
    names = _different([str(arm["name"]) for arm in facts["arms"]])
    arms = [{**arm, "name": names[str(arm["name"])]} for arm in facts["arms"]]
    paths = [{**path, "arm": names.get(str(path["arm"]), path["arm"])} for path in facts["paths"]]
    nodes = {
        key: {**node, "arms": [names.get(str(arm), arm) for arm in node["arms"]]}
        for key, node in facts["nodes"].items()
    }
    renamed = table.assign(arm=[names.get(arm, arm) for arm in table["arm"]])
    return {**facts, "arms": arms, "paths": paths, "nodes": nodes}, renamed


def _different(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        shown = drawable(name)
        while shown in _others(found, name):
            shown += NOTHING
        found[name] = shown
    return found


def _others(found: Mapping[str, str], name: str) -> Iterable[str]:
    return (shown for known, shown in found.items() if known != name)


def _sign(letter: str) -> str:
    """The picture that Unicode has of a control character. A question mark for a character without a picture."""
    code = ord(letter)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
