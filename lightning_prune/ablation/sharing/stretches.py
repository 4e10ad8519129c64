"""Divide a run into stretches, and decide whether arms may share the first one, the dense run.

Each stretch ends with an epoch, and the run can go on exactly from its end. A callback that takes part in the dense run
prevents sharing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from lightning_prune.callbacks.base import CycleCallback, Kind, clock_of, kind_of
from lightning_prune.callbacks.fit.assembly import default_policy, rewinding_of
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.timing.plan import plan
from lightning_prune.schedules.durations import Duration, parse_duration

OF_LIBRARIES = ("lightning_prune", "lightning", "builtins")
HOOKS = [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]


@dataclass(frozen=True)
class Stretch:
    """A part of a run that ends with an epoch.

    Args:
        first: The first cycle in the stretch. 0 is the dense run.
        last: The last cycle in the stretch.
        epochs: The number of epochs. None if the number is not known yet.
        at_most: Whether the fit may leave out epochs. ``epochs`` is then the largest number.
    """

    first: int
    last: int
    epochs: int | None
    at_most: bool = False


def stretches_of(trainer: Trainer, callbacks: list[Callback]) -> list[Stretch]:
    """Divide a run at the ends of epochs, from which it can go on exactly.

    Args:
        trainer: The trainer that is to run it.
        callbacks: The user's callbacks.

    Returns:
        The dense run, and a stretch for each cycle. All cycles are one stretch if their length is given in steps, or if
        a callback may leave out cycles. The whole run is one stretch if the length of the dense run is given in steps,
        or the cycles lie inside the dense run.

    Raises:
        ValueError: If lengths do not fit together.
    """
    clock = pruning_of(callbacks)
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    if clock is None:
        return [Stretch(0, 0, epochs)]
    apart = clock.during is None and clock.dense_run is None and clock.initial_masks is None
    apart = apart and not any(acts_in_dense_run(type(one)) for one in callbacks if kind_of(one) is not None)
    if not apart or epochs is None or trainer.max_steps != -1 or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return [Stretch(0, clock.cycles, epochs if clock.during else None)]
    dense = Stretch(0, 0, epochs)
    if not clock.cycles:
        return [dense]
    length = _cycle_length(clock, callbacks, epochs)
    if length is None:
        return [dense, Stretch(1, clock.cycles, None)]
    if any(map(leaves_out_cycles, callbacks)):
        return [dense, Stretch(1, clock.cycles, length * clock.cycles, at_most=True)]
    return [dense, *(Stretch(cycle, cycle, length) for cycle in range(1, clock.cycles + 1))]


def leaves_out_cycles(callback: Callback) -> bool:
    """Whether a callback may leave out the training of cycles.

    Args:
        callback: The callback.
    """
    return isinstance(callback, CycleCallback) and callback.leaves_out_cycles


def pruning_of(callbacks: Iterable[Callback]) -> IterativePruning | None:
    """Find the ``IterativePruning`` among callbacks. None if nothing is pruned.

    Args:
        callbacks: The callbacks.
    """
    clock = clock_of(callbacks)
    return clock if isinstance(clock, IterativePruning) else None


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


def _cycle_length(clock: IterativePruning, callbacks: list[Callback], dense: int) -> int | None:
    """The epochs of a cycle. None if the cycle has no whole number of epochs."""
    policy = [] if Kind.LEARNING_RATE in map(kind_of, callbacks) else [default_policy(callbacks)]
    rewind = rewinding_of([*callbacks, *policy], policy)
    lengths = [rewind.point] if rewind is not None and rewind.point.amount else []
    if clock.retrain is not None:
        lengths.append(parse_duration(clock.retrain, "IterativePruning(retrain"))
    if any(one.unit != "ep" for one in lengths):
        return None
    return plan(Duration(dense, "ep"), clock.retrain, clock.cycles, rewind, per_epoch=None).retrain.amount
