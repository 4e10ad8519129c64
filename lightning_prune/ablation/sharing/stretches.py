"""Divide a run into stretches. Each stretch ends with an epoch, and the run can go on exactly from its end."""

from dataclasses import dataclass

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from lightning_prune.ablation.sharing.sharing import acts_in_dense_run
from lightning_prune.callbacks.base import CycleCallback, CycleClock
from lightning_prune.callbacks.fit.assembly import default_policy, rewinding_of
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.timing.plan import plan
from lightning_prune.schedules.durations import Duration, parse_duration


@dataclass(frozen=True)
class Stretch:
    """A part of a run that ends with an epoch.

    Args:
        first: The first cycle in the stretch. 0 is the dense run.
        last: The last cycle in the stretch.
        epochs: The number of epochs. None if the number is not known yet.
    """

    first: int
    last: int
    epochs: int | None


def stretches_of(trainer: Trainer, callbacks: list[Callback]) -> list[Stretch]:
    """Divide a run at the ends of epochs, from which it can go on exactly.

    Args:
        trainer: The trainer that is to run it.
        callbacks: The user's callbacks.

    Returns:
        The dense run, and a stretch for each cycle. All cycles are one stretch if their length is given in steps. The
        whole run is one stretch if the length of the dense run is given in steps, or the cycles lie inside the dense
        run.

    Raises:
        ValueError: If lengths do not fit together.
    """
    clock = next((one for one in callbacks if isinstance(one, CycleClock)), None)
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    if not isinstance(clock, IterativePruning):
        return [Stretch(0, 0, epochs)]
    apart = clock.during is None and clock.dense_run is None and clock.initial_masks is None
    apart = apart and not any(acts_in_dense_run(type(one)) for one in callbacks if is_of_cycles(one))
    if not apart or epochs is None or trainer.max_steps != -1 or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return [Stretch(0, clock.cycles, epochs if clock.during else None)]
    dense = Stretch(0, 0, epochs)
    if not clock.cycles:
        return [dense]
    length = _cycle_length(clock, callbacks, epochs)
    if length is None:
        return [dense, Stretch(1, clock.cycles, None)]
    return [dense, *(Stretch(cycle, cycle, length) for cycle in range(1, clock.cycles + 1))]


def is_of_cycles(callback: Callback) -> bool:
    """Whether a callback counts the cycles, or says how the cycles are trained."""
    return isinstance(callback, CycleCallback | CycleClock)


def _cycle_length(clock: IterativePruning, callbacks: list[Callback], dense: int) -> int | None:
    """The epochs of a cycle. None if the cycle has no whole number of epochs."""
    policies = any(isinstance(one, LearningRatePolicy) for one in callbacks)
    policy = [] if policies else [default_policy(callbacks)]
    rewind = rewinding_of([*callbacks, *policy], policy)
    lengths = [rewind.point] if rewind is not None and rewind.point.amount else []
    if clock.retrain is not None:
        lengths.append(parse_duration(clock.retrain, "IterativePruning(retrain"))
    if any(one.unit != "ep" for one in lengths):
        return None
    return plan(Duration(dense, "ep"), clock.retrain, clock.cycles, rewind, per_epoch=None).retrain.amount
