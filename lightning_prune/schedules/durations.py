"""Durations: a number of epochs or of optimizer steps, with a unit so that neither is taken for the other."""

import re
from dataclasses import dataclass
from typing import Literal

from lightning_prune.basics.user_error import UserError

_PATTERN = re.compile(r"(\d+)\s*(ep|it)")


@dataclass(frozen=True)
class Duration:
    """A length of training, or a point in it counted from its start.

    Args:
        amount: The number of epochs or steps, at least 0.
        unit: ``"ep"`` for epochs, ``"it"`` for optimizer steps.

    Example:
        >>> str(Duration(15, "ep")), Duration(15, "ep").steps(per_epoch=22)
        ('15ep', 330)
    """

    amount: int
    unit: Literal["ep", "it"]

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    def steps(self, per_epoch: int) -> int:
        """The length in optimizer steps, if an epoch has ``per_epoch`` steps."""
        return self.amount * per_epoch if self.unit == "ep" else self.amount


def is_duration(word: str) -> bool:
    """Whether a word is a length of training.

    Example:
        >>> [is_duration(word) for word in ("15ep", "500it", "15", "long")]
        [True, True, False, False]
    """
    return _PATTERN.fullmatch(word.strip()) is not None


def parse_duration(value: str | int, argument: str) -> Duration:
    """Read ``"15ep"`` (epochs), ``"500it"`` (optimizer steps) or ``15`` (epochs).

    Args:
        value: The value that the user wrote.
        argument: The class and the argument that received the value, for the error, such as ``"LRRewind(to"``.

    Returns:
        The duration.

    Raises:
        ValueError: If ``value`` is none of the three forms, or negative.

    Example:
        >>> parse_duration("500it", "LRRewind(to"), parse_duration(0, "WeightRewind(to")
        (Duration(amount=500, unit='it'), Duration(amount=0, unit='ep'))
    """
    if isinstance(value, Duration):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Duration(value, "ep")
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise UserError(
            f"{argument}={value!r}) is not a duration: write '15ep' for 15 epochs, '500it' for 500 optimizer steps, "
            "or a whole number of epochs."
        )
    return Duration(int(match[1]), "ep" if match[2] == "ep" else "it")
