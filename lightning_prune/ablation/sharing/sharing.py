"""Who may share a dense run: a callback that takes part in it is not separated from it."""

from lightning.pytorch.callbacks import Callback

OF_LIBRARIES = ("lightning_prune", "lightning", "builtins")
HOOKS = [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]


def acts_in_dense_run(cls: type) -> bool:
    """Whether a callback for the cycles may do something before the first of them, too.

    Those of this package do not, or are asked by the study what they need of it. Of others it is not known if they
    have hooks of a ``Callback``, unless the class says ``acts_in_dense_run = False``.

    Args:
        cls: Its class.

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
