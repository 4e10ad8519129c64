"""Let Lightning skip hooks that have nothing to do: to call one for every batch costs more than what ours do there.

Lightning calls a hook of a callback only if it is callable. So None is put over the hook of the object. The class stays
as it is, and an override may call ``super()``.
"""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.callbacks import Callback

from lightning_prune.callbacks.compat.namespaces import everywhere

OF_BATCHES = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


def skip_empty(callback: Callback) -> None:
    """Skip the hooks of each batch that a callback does not write.

    Args:
        callback: The callback.

    Example:
        >>> callback = Callback()
        >>> skip_empty(callback)
        >>> callable(callback.on_before_zero_grad), callable(callback.on_train_epoch_start)
        (False, True)
        >>> stop_skipping(callback)
        >>> callable(callback.on_before_zero_grad)
        True
    """
    for hook in OF_BATCHES:
        for cls in everywhere(Callback):
            skip(callback, cls, hook)


def skip(callback: Callback, cls: type[Callback], hook: str) -> None:
    """Skip the hook that a class writes, if neither a subclass nor the object has one of its own.

    Args:
        callback: The callback.
        cls: The class.
        hook: The name of the hook.
    """
    if getattr(type(callback), hook) is getattr(cls, hook):
        vars(callback).setdefault(hook, None)


def take_over(callback: Callback, cls: type[Callback], *hooks: str) -> list[Callable[..., Any] | None]:
    """Skip hooks that a class writes, because the caller is going to call them right after its own.

    Args:
        callback: The callback.
        cls: The class.
        *hooks: The names of the hooks.

    Returns:
        The hooks that the caller has to call from now on. None for each that Lightning goes on to call, because a
        subclass or the object has one of its own.
    """
    bound = [getattr(callback, hook) for hook in hooks]
    for hook in hooks:
        skip(callback, cls, hook)
    return [one if getattr(callback, hook) is None else None for one, hook in zip(bound, hooks, strict=True)]


def skip_while(idle: bool, callback: Callback, cls: type[Callback], hook: str) -> None:
    """Skip the hook that a class writes as long as it has nothing to do.

    Args:
        idle: Whether the hook has nothing to do.
        callback: The callback.
        cls: The class.
        hook: The name of the hook.
    """
    if idle:
        skip(callback, cls, hook)
    elif vars(callback).get(hook, callback) is None:
        del vars(callback)[hook]


def stop_skipping(callback: Callback) -> None:
    """Let Lightning call all hooks of each batch again.

    Args:
        callback: The callback.
    """
    for hook in OF_BATCHES:
        if vars(callback).get(hook, callback) is None:
            del vars(callback)[hook]
