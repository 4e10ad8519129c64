"""Find the known name that was probably meant by a misspelt one."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def nearest(given: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """Find the known name that is most similar to a given one.

    Args:
        given: An unknown name.
        known: The known names.
        least: The least similarity, from 0 (anything) to 1 (the same name).

    Returns:
        The most similar known name, or None if every similarity is below ``least``.

    Example:
        >>> nearest("sillo", ["silo", "clr"]), nearest("adam", ["silo", "clr"])
        ('silo', None)
    """
    return next(iter(get_close_matches(given, list(known), n=1, cutoff=least)), None)


def suggest(given: object, known: Iterable[str], write: Callable[[str], str] = "`{}`".format) -> str:
    """Propose the known name that is most similar to a given one.

    Args:
        given: An unknown name.
        known: The known names.
        write: Puts the name between quotes.

    Returns:
        A question with a space before it, or an empty string if no known name is similar.

    Example:
        >>> "There is no `sillo`." + suggest("sillo", ["silo", "clr"])
        'There is no `sillo`. Did you mean `silo`?'
        >>> suggest("adam", ["silo", "clr"])
        ''
    """
    found = nearest(str(given), known)
    return f" Did you mean {write(found)}?" if found is not None else ""
