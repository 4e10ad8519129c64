"""Text of others on a terminal: what steers the terminal is shown, and not obeyed."""

from unicodedata import category

UNSEEN = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a line break"}
KEPT = "\n\t"


def is_shown(character: str) -> bool:
    r"""Whether a character can stand in a name: a file can hold it, a table and a picture can show it.

    Args:
        character: One character.

    Example:
        >>> [is_shown(one) for one in ("a", "é", "\x07", "\ud800", "\uffff")]
        [True, True, False, False, False]
    """
    is_none = (ord(character) & 0xFFFE) == 0xFFFE  # Unicode keeps these free, and XML cannot hold them
    return category(character) not in UNSEEN and not is_none


def visible(text: str) -> str:
    r"""Write out what cannot be seen: an escape sequence would color the terminal, move in it, or worse.

    Args:
        text: Any text, such as what an error says; its lines stay lines.

    Example:
        >>> visible("lr=\x1b[31m0.1") == r"lr=\x1b[31m0.1"
        True
    """
    return "".join(one if one in KEPT or is_shown(one) else _written_out(one) for one in text)


def refuse_unseen(text: str, owner: str) -> None:
    r"""Refuse a name with something in it that cannot be seen, before it names files, rows and pictures.

    Args:
        text: The name.
        owner: What it names, for the error.

    Raises:
        ValueError: If there is a control character, a line break, or half a character (a surrogate) in it.

    Example:
        >>> refuse_unseen("a\tb", "Ablation(name)")
        Traceback (most recent call last):
        ValueError: Ablation(name): 'a\tb' has a control character in it ('\t'). Leave it out.
    """
    found = next((one for one in text if not is_shown(one)), None)
    if found is not None:
        raise ValueError(
            f"{owner}: {text!r} has {UNSEEN.get(category(found), 'no character')} in it ({found!r}). Leave it out."
        )


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
