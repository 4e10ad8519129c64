"""Print foreign text on a terminal safely: control characters are shown, not obeyed."""

import re
from unicodedata import category

from lightning_prune.basics.user_error import UserError

UNSEEN = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a line break"}
KEPT = "\n\t"
FORMULA = re.compile(r"\s*([=@]|[+-].*[(|!])")  # what spreadsheets take for one, or for a call of a program


def is_shown(character: str) -> bool:
    r"""Whether a character is allowed in a name, because files, tables and pictures can hold and show it.

    Args:
        character: One character.

    Example:
        >>> [is_shown(one) for one in ("a", "é", "\x07", "\ud800", "\uffff")]
        [True, True, False, False, False]
    """
    is_none = (ord(character) & 0xFFFE) == 0xFFFE  # Unicode reserves these as noncharacters, and XML cannot hold them
    return category(character) not in UNSEEN and not is_none


def visible(text: str) -> str:
    r"""Write out invisible characters, because an escape sequence could color the terminal, move the cursor, or worse.

    Args:
        text: Any text, such as an error message. Line breaks and tabs are kept.

    Example:
        >>> visible("lr=\x1b[31m0.1") == r"lr=\x1b[31m0.1"
        True
    """
    return "".join(one if one in KEPT or is_shown(one) else _written_out(one) for one in text)


def refuse_unseen(text: str, owner: str) -> None:
    r"""Refuse a name with invisible characters, before files, rows and pictures are named after it.

    Args:
        text: The name.
        owner: The argument that received the name, for the error.

    Raises:
        ValueError: If the name has a control character, a line break, or half a character (a surrogate) in it, or
            begins as a formula of a spreadsheet.

    Example:
        >>> refuse_unseen("a\tb", "Ablation(name)")
        Traceback (most recent call last):
        lightning_prune.UserError: Ablation(name): 'a\tb' has a control character in it ('\t'). Leave it out.
    """
    if FORMULA.match(text):
        raise UserError(
            f"{owner}: {text!r} begins as a formula, and a spreadsheet that opens the table would run it. Begin with a "
            "letter."
        )
    found = next((one for one in text if not is_shown(one)), None)
    if found is not None:
        raise UserError(
            f"{owner}: {text!r} has {UNSEEN.get(category(found), 'no character')} in it ({found!r}). Leave it out."
        )


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
