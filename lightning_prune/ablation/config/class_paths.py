"""Complete the names of classes in a config, and refuse classes that no other process can import."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch import callbacks

import lightning_prune
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.basics.nearest import suggest
from lightning_prune.basics.user_error import UserError


def full_path(name: str, owner: str) -> str:
    """Complete the name of a class of this package, and check that the class exists.

    Args:
        name: A dotted path, or a public name of ``lightning_prune`` or of Lightning's callbacks.
        owner: The caller's name for the error, such as ``"arm 'a'"``.

    Returns:
        The dotted path.

    Raises:
        ValueError: If there is no such class.

    Example:
        >>> full_path("LRRewind", "arm 'a'")
        'lightning_prune.LRRewind'
        >>> full_path("LRRewnd", "arm 'a'")
        Traceback (most recent call last):
        lightning_prune.UserError: arm 'a': there is no lightning_prune.LRRewnd. Did you mean `LRRewind`?
    """
    known = "." in name or hasattr(lightning_prune, name) or not hasattr(callbacks, name)
    path = name if "." in name else f"{'lightning_prune' if known else 'lightning.pytorch.callbacks'}.{name}"
    try:
        class_at(path)
    except (ImportError, AttributeError) as error:
        guess = suggest(name, dir(lightning_prune)) if "." not in name else ""
        raise UserError(f"{owner}: there is no {path}.{guess or f' {error}.'}") from error
    return path


def refuse_main(config: Any, owner: str) -> None:
    """Refuse classes that are defined in the program or the notebook itself. No other process can import them.

    Args:
        config: Everything that is to be sent to other processes.
        owner: The caller's name for the error.

    Raises:
        ValueError: If a dotted path in it begins with ``__main__``.

    Example:
        >>> refuse_main({"model": {"class_path": "__main__.Net"}}, "Ablation.run")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lightning_prune.UserError: Ablation.run: `__main__.Net` is defined in the program or notebook that ...
    """
    found = _of_main(config)
    if found is not None:
        raise UserError(
            f"{owner}: `{found}` is defined in the program or notebook that is running, which the processes that train "
            f"cannot import. Move it into a file beside it, such as mine.py, and give `mine{found[8:]}`; or train in "
            "this process with run(out, workers=0) and the local engine."
        )


def is_of_main(config: Any) -> bool:
    """Whether a config names a class that is defined in the program or the notebook itself.

    Example:
        >>> is_of_main({"model": "__main__.Net"}), is_of_main({"model": "mine.Net"})
        (True, False)
    """
    return _of_main(config) is not None


def _of_main(config: Any) -> str | None:
    return next((one for one in texts_in(config) if one.startswith("__main__.")), None)


def texts_in(config: Any) -> Iterator[str]:
    """Yield every text in a config, at any depth.

    Example:
        >>> list(texts_in({"a": ["b", {"c": "d"}, 3]}))
        ['b', 'd']
    """
    if isinstance(config, str):
        yield config
    elif isinstance(config, Mapping | list | tuple):
        for value in config.values() if isinstance(config, Mapping) else config:
            yield from texts_in(value)
