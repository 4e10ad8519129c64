"""Decide whether arms may share a dense run. A callback that takes part in the dense run prevents sharing."""

from lightning.pytorch.callbacks import Callback

OF_LIBRARIES = ("lightning_prune", "lightning", "builtins")
HOOKS = [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]


def acts_in_dense_run(cls: type) -> bool:
    """Whether a callback for the cycles may also do something before the first cycle.

    The callbacks of this package do nothing there, or the study asks them what they need of the dense run. Any other
    callback may act if it overrides hooks of ``Callback``, unless its class has ``acts_in_dense_run = False``.

    Args:
        cls: The class of the callback.

    Example:
        >>> from lightning_prune import LRRewind
        >>> Noisy = type("Noisy", (LRRewind,), {"__module__": "mine", "on_train_batch_end": print})
        >>> acts_in_dense_run(LRRewind), acts_in_dense_run(Noisy)
        (False, True)
    """
    said = getattr(cls, "acts_in_dense_run", None)
    return any(_is_users(cls, name) for name in HOOKS) if said is None else bool(said)


def _is_users(cls: type, hook: str) -> bool:
    owner = next((one for one in cls.__mro__ if hook in vars(one)), Callback)
    return owner.__module__.split(".")[0] not in OF_LIBRARIES
