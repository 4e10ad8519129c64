"""Let a parser read a number in YAML as ``int`` before ``float``."""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, get_args


def integers_first(function: Callable[..., Any]) -> None:
    """Let a parser try ``int`` before ``float`` wherever a function's hints have both, in place.

    ``typing`` keeps one object for ``Union[int, float]`` and ``Union[float, int]``. Its order is the one that some
    module wrote first, and parsers try the members in this order. Lightning distinguishes the two types:
    ``limit_train_batches=1`` is one batch, and ``1.0`` is all batches.

    Args:
        function: The function. Its hints keep their meaning.

    Example:
        >>> def train(batches: float | int | None = None) -> None: ...
        >>> integers_first(train)
        >>> train.__annotations__["batches"]
        int | float | None
    """
    for name, hint in function.__annotations__.items():
        members = get_args(hint)
        if int in members and float in members and members.index(float) < members.index(int):
            others = [one for one in members if one not in (int, float)]
            function.__annotations__[name] = reduce(or_, [int, float, *others])
