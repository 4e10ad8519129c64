"""Refuse classes in a config that no other process can import."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning_prune.basics.user_error import UserError


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
