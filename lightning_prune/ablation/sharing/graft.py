"""Turn the checkpoint of a node into the start of the next node, as if the next node's arm had trained alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback, Checkpoint

from lightning_prune.ablation.sharing.dense_run_extras import Passengers, evidence_of, keeps_something
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.settings.described import describe_object
from lightning_prune.callbacks.starting_points.base import StartingPoint

State = dict[str, Any]


def graft(checkpoint: Mapping[str, Any], callbacks: Sequence[Callback], dense: bool) -> dict[str, Any]:
    """Give a checkpoint the callback states of the arm that goes on from it.

    Weights, optimizers, schedules, loops and random state stay as they are.

    Args:
        checkpoint: The checkpoint that the parent saved at its end.
        callbacks: All callbacks of the arm.
        dense: Whether the parent is the dense run, which belongs to no arm. False: a cycle of the same arm.

    Returns:
        The checkpoint to resume from.

    Raises:
        KeyError: If the dense run did not keep what the arm needs.
    """
    saved: Mapping[str, State] = checkpoint["callbacks"]
    states: dict[str, State] = {}
    for callback in callbacks:
        key = callback.state_key
        if isinstance(callback, Checkpoint):
            continue  # Each node chooses its best epoch again.
        state = _of_dense_run(callback, saved) if dense else saved.get(key)
        if isinstance(callback, IterativePruning) and state is not None:
            state = {**state, "settings": None}  # The study has compared the settings already.
        if state is not None:
            states[key] = state
    return {**checkpoint, "callbacks": states}


def _of_dense_run(callback: Callback, saved: Mapping[str, State]) -> State | None:
    passengers: Mapping[str, Any] = saved[Passengers.__qualname__]
    if isinstance(callback, IterativePruning):
        state = saved[callback.state_key]
        evidence = passengers["evidence"].get(evidence_of(callback))
        nothing = Gatherer({}, callback.criterion, 0).state_dict()
        epoch = state["evidence"]["epoch"]
        return {**state, "masks": None, "cycles": [], "evidence": evidence or {**nothing, "epoch": epoch}}
    if isinstance(callback, LearningRatePolicy):
        shared = next(state for state in saved.values() if "tape" in state)
        return {**callback.state_dict(), **{name: shared[name] for name in ("tape", "lowest", "highest")}}
    if isinstance(callback, StartingPoint):
        return passengers["starting_points"][describe_object(callback)] if keeps_something(callback) else None
    if isinstance(callback, CycleCallback):
        return callback.state_dict()
    return saved.get(callback.state_key)
