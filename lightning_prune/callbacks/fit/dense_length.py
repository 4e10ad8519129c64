"""Find the length of the dense run of a checkpoint, and refuse a dense run that was not over."""

from collections.abc import Mapping
from typing import Any

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.schedules.durations import Duration, parse_duration


def length_of(checkpoint: Mapping[str, Any], given: str) -> Duration:
    """Find how long a dense run was.

    A run with ``IterativePruning`` has written down its planned length. For another run the counters say how many
    epochs are done. If ``max_steps`` ended the run within an epoch, the counters say how many steps are done.

    Args:
        checkpoint: A whole checkpoint of it.
        given: What the user gave as ``dense_run``, for errors.

    Returns:
        The length, in epochs or optimizer steps.

    Raises:
        ValueError: If the run was not over when it was saved, or is pruned.
    """
    states = [state for state in checkpoint["callbacks"].values() if isinstance(state, Mapping)]
    ours = next((state for state in states if "position" in state), None)
    progress = checkpoint["loops"]["fit_loop"]
    current, last = progress["epoch_progress"]["current"], progress["epoch_loop.batch_progress"]["is_last_batch"]
    within = current["started"] > current["processed"]
    epochs = int(current["processed"]) + int(within and last)  # saved after the last batch, before the epoch's end
    if ours is not None:
        return _recorded(ours, epochs, int(checkpoint["global_step"]), _was_stopped(states, epochs), given)
    if last or not current["started"]:
        return Duration(epochs, "ep")
    if within:
        raise UserError(_not_over(given, f"within epoch {epochs + 1}"))
    return Duration(int(checkpoint["global_step"]), "it")  # the fit is over, in the middle of an epoch


def _recorded(ours: Mapping[str, Any], epochs: int, steps: int, stopped: bool, given: str) -> Duration:
    position, settings = ours["position"], ours["settings"]
    if position.get("cycle") is not None:
        raise UserError(
            f"IterativePruning(dense_run={given!r}) is a checkpoint of cycle {position['cycle']['index']}, whose "
            "network is pruned. Give the last checkpoint of the dense run; to go on with this one, give it as "
            "trainer.fit(..., ckpt_path=...)."
        )
    if settings is None:
        raise UserError(
            f"IterativePruning(dense_run={given!r}) does not say how long its dense run was: its settings are missing. "
            "Give the last checkpoint that the dense run has saved."
        )
    dense = parse_duration(settings["dense"], "dense_run")
    if settings.get("dense_run") is not None or position["dense_end"] is not None:
        return dense
    at = Position()
    at.load(position)
    done = Duration(at.scheduled(epochs), "ep") if dense.unit == "ep" else Duration(steps - at.first_global_step, "it")
    if done.amount >= dense.amount:
        return dense
    if stopped:
        return done
    raise UserError(_not_over(given, f"after {done} of {dense}"))


def _was_stopped(states: list[Mapping[str, Any]], epochs: int) -> bool:
    """Whether an ``EarlyStopping`` ended the run with the epoch that was done last."""
    return any(state.get("stopped_epoch", 0) and state["stopped_epoch"] == epochs - 1 for state in states)


def _not_over(given: str, when: str) -> str:
    return (
        f"IterativePruning(dense_run={given!r}) was saved {when}, and a dense run has to be over. Give its last "
        "checkpoint, or train it to its end first: trainer.fit(..., ckpt_path=...). To prune the network as it was "
        "then, load its weights into the module, and give the length instead, for instance dense_run='160ep'."
    )
