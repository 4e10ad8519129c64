"""What was probably meant by a name that is not known: the known one that is most like it."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def nearest(given: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """Find the known name that is most like a given one.

    Args:
        given: The name that is not known.
        known: The known ones.
        least: How alike they have to be, from 0 to 1, which is the same name.

    Returns:
        The name; None if no name is so much alike.

    Example:
        >>> nearest("sillo", ["silo", "clr"]), nearest("adam", ["silo", "clr"])
        ('silo', None)
    """
    return next(iter(get_close_matches(given, list(known), n=1, cutoff=least)), None)


def suggest(given: object, known: Iterable[str], write: Callable[[str], str] = "`{}`".format) -> str:
    """Ask whether the known name was meant that is most like a given one.

    Args:
        given: The name that is not known.
        known: The known ones.
        write: Puts the name between quotes.

    Returns:
        A sentence with a blank before it; empty if no name is near.

    Example:
        >>> "There is no `sillo`." + suggest("sillo", ["silo", "clr"])
        'There is no `sillo`. Did you mean `silo`?'
        >>> suggest("adam", ["silo", "clr"])
        ''
    """
    found = nearest(str(given), known)
    return f" Did you mean {write(found)}?" if found is not None else ""
