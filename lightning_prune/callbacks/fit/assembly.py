"""Check the callbacks of a fit, complete them, and put them into an order that works."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, ModelPruning

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import ADDED, RIVALS, CycleCallback, CycleClock, CycleMember, Kind, kind_of
from lightning_prune.callbacks.companions.cycle_checkpoint import warn_of_mixed_sparsities
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.compat.weight_averaging import refuse_stochastic_averaging
from lightning_prune.callbacks.policies import FineTune, LRRewind
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.callbacks.settings.later_settings import without_defaults
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.callbacks.timing.plan import Rewind
from lightning_prune.callbacks.timing.timeline import Timeline


def assemble(trainer: "pl.Trainer", gradual: bool = False, one_best: bool = False) -> list[Callback]:
    """Check the callbacks of a trainer, add the default policy and the exact resume, and let ours go first.

    The clock comes before the policy and both before all others, so that whoever looks at the learning rate or the
    weights of a batch, such as ``LearningRateMonitor``, sees what the batch is trained with.

    Args:
        trainer: The trainer. Its list of callbacks is replaced.
        gradual: Whether the cycles lie inside the dense run.
        one_best: Whether a ``ModelCheckpoint`` chooses its best among networks of every sparsity.

    Returns:
        What was added, to be set up by the caller.

    Raises:
        ValueError: If there are two clocks, two policies or two rewinds. If there is any policy or rewind where the
            dense run goes on.
    """
    callbacks = _of_user(trainer)
    refuse_rivals(callbacks)
    if gradual:
        _refuse_retraining(callbacks)
    refuse_stochastic_averaging(callbacks)
    if one_best:
        warn_of_mixed_sparsities(callbacks)
    return complete(trainer)


def complete(trainer: "pl.Trainer") -> list[Callback]:
    """Add the default policy and the exact resume where they are missing, and let ours go first.

    Args:
        trainer: The trainer. Its list of callbacks is replaced.

    Returns:
        What was added. An earlier fit has left it there, so that a checkpoint that is saved after it holds it, too.

    Raises:
        ValueError: If there are two clocks.
    """
    callbacks = _of_user(trainer)
    _at_most_one(callbacks, Kind.CLOCK)
    added: list[Callback] = []
    if Kind.LEARNING_RATE not in map(kind_of, callbacks):
        added.append(default_policy(callbacks))
    if not any(isinstance(callback, ExactResume) for callback in callbacks):
        added.append(ExactResume())
    for callback in added:
        setattr(callback, ADDED, True)
    for callback in [*callbacks, *added]:
        if isinstance(callback, CycleMember):
            callback.joined = True
    trainer.callbacks = sorted([*callbacks, *added], key=_rank)  # type: ignore[attr-defined]
    return added


def _of_user(trainer: "pl.Trainer") -> list[Callback]:
    return [c for c in trainer.callbacks if not hasattr(c, ADDED)]  # type: ignore[attr-defined]


def default_policy(callbacks: list[Callback]) -> LearningRatePolicy:
    """The policy of a fit that names none: rewound weights come with their learning rates, kept ones are fine-tuned."""
    start = next((callback for callback in callbacks if isinstance(callback, StartingPoint)), None)
    return FineTune() if start is None or start.rewind_point is None else LRRewind(to=start.to)


def rewinding(trainer: "pl.Trainer", added: list[Callback]) -> Rewind | None:
    """Where the cycles of a fit go back to: the policy's point where it has one, or else the weights'.

    Args:
        trainer: The trainer.
        added: What the user did not write: errors speak of the rewind that a policy was added for.
    """
    return rewinding_of(trainer.callbacks, added)  # type: ignore[attr-defined]


def rewinding_of(callbacks: Sequence[Callback], added: Sequence[Callback]) -> Rewind | None:
    """The same for callbacks that have no trainer yet.

    Args:
        callbacks: All callbacks.
        added: Those of them that the user did not write.
    """
    written = next((type(one).__name__ for one in callbacks if isinstance(one, StartingPoint)), "WeightRewind")
    points = [
        Rewind(callback.rewind_point, written if callback in added else type(callback).__name__, callback.replays)
        for callback in callbacks
        if isinstance(callback, CycleCallback) and callback.rewind_point is not None
    ]
    return min(points, key=lambda rewind: not rewind.replays, default=None)


def settings_of(clock: CycleClock, timeline: Timeline, trainer: "pl.Trainer") -> dict[str, Any]:
    """What a fit is made with, for the record and for the comparison when it is resumed.

    Args:
        clock: The ``IterativePruning`` of the fit.
        timeline: What it makes of its lengths.
        trainer: The trainer, for the callbacks beside it.

    Returns:
        Plain values by name.
    """
    own = without_defaults({name: describe(getattr(clock, name)) for name in signature(type(clock)).parameters})
    callbacks = [one for one in trainer.callbacks if isinstance(one, CycleCallback)]  # type: ignore[attr-defined]
    given = {kind: [one.as_given for one in callbacks if kind_of(one) is kind] for kind in Kind}
    return {
        **own,
        "dense": str(timeline.dense_run),
        "retrain": str(timeline.retrain),
        "sparsities": [clock.scheduled(cycle) for cycle in range(1, clock.cycles + 1)],
        "learning_rate": given[Kind.LEARNING_RATE][0],
        "weights": given[Kind.WEIGHTS][0] if given[Kind.WEIGHTS] else "kept",
        "beside": given[Kind.BESIDE],
    }


def _refuse_retraining(callbacks: list[Callback]) -> None:
    for callback in callbacks:
        if kind_of(callback) in (Kind.LEARNING_RATE, Kind.WEIGHTS):
            name = type(callback).__name__
            raise UserError(
                "IterativePruning(during=...) prunes inside the dense run, whose weights and learning rates go on, and "
                f"{name} would set them. Leave out {name}, or leave out during to retrain after the dense run."
            )


def refuse_rivals(callbacks: list[Callback]) -> None:
    """Refuse callbacks that would do the same.

    Args:
        callbacks: The user's callbacks.

    Raises:
        ValueError: If there are two clocks, two policies or two starting points, or Lightning's own pruning.
    """
    for callback in callbacks:
        if isinstance(callback, everywhere(ModelPruning)):
            raise UserError(
                f"{type(callback).__name__} and IterativePruning would both prune: Lightning's puts a parametrization "
                "of its own in the place of the weights, which IterativePruning leaves alone. Keep one of them."
            )
    for kind in RIVALS:
        _at_most_one(callbacks, kind)


def _at_most_one(callbacks: list[Callback], kind: Kind) -> None:
    found = [type(callback).__name__ for callback in callbacks if kind_of(callback) is kind]
    if len(found) > 1:
        raise UserError(f"{' and '.join(found)} would both {kind.value}: keep one of them.")


def _rank(callback: Callback) -> int:
    if isinstance(callback, ExactResume):
        return len(Kind) + 1  # the last: what it puts back is what comes next, and what it saves is what all have done
    return [*Kind, None].index(kind_of(callback))
