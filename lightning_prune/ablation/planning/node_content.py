"""Collect everything that determines the weights at the end of a node, given its parent, and nothing else."""

from collections.abc import Sequence
from typing import Any

from lightning_prune.ablation.config.arm_changes import Config
from lightning_prune.ablation.config.callback_objects import entry_of, kind_in, make_callbacks
from lightning_prune.ablation.planning.fingerprints import code_fingerprint
from lightning_prune.ablation.planning.resolving import Resolved, draws_in_cycles
from lightning_prune.ablation.sharing.dense_run_extras import Passengers
from lightning_prune.ablation.sharing.stretches import Stretch
from lightning_prune.basics.dotted_paths import class_at
from lightning_prune.callbacks.base import CycleCallback, Kind
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.settings.later_settings import LATER
from lightning_prune.callbacks.starting_points.base import StartingPoint

# Arguments of a Trainer that say how the run is shown and where it is written. They do not change the computation.
SHOWN = (
    "logger",
    "enable_progress_bar",
    "enable_model_summary",
    "enable_checkpointing",
    "default_root_dir",
    "log_every_n_steps",
    "profiler",
)
# Arguments of IterativePruning. Only their values up to the cycle count, not those of later cycles.
SPENT = ("cycles", "sparsity")


def dense_content(resolved: Resolved, whole: bool) -> dict[str, Any]:
    """Collect everything that determines a dense run, or a whole run where nothing is shared.

    Args:
        resolved: The config.
        whole: Whether the node is the whole run.
    """
    config = resolved.config
    trainer = {key: value for key, value in config["trainer"].items() if key not in SHOWN}
    entries = resolved.entries
    if not whole:
        entries = [one for one in entries if kind_in(one) is None]
        trainer["early_stopping"] = resolved.clock.early_stopping if resolved.clock else None
    trainer["callbacks"] = [_as_before(one) for one in entries]
    content = {"model": config.get("model"), "data": resolved.data_settings}
    remembered = [] if whole else list(notes_of(resolved).values())
    return {
        "trainer": trainer,
        **content,
        "code": code_fingerprint([trainer, content, remembered]),
        "fingerprint": resolved.data,
    }


def cycle_content(resolved: Resolved, stretch: Stretch) -> dict[str, Any]:
    """Collect everything that determines the cycles of a node, given its parent.

    Args:
        resolved: The config.
        stretch: The cycles.
    """
    clock = resolved.clock
    assert clock is not None, "without a clock there is no cycle"
    callbacks = [one for one in resolved.entries if kind_in(one) is not None]
    ahead = any(looks_ahead(one) for one in resolved.callbacks)
    kept = sorted([_without(one, () if ahead else SPENT) for one in callbacks], key=_rank)
    levels = [clock.scheduled(cycle) for cycle in range(1, stretch.last + 1)]
    code = code_fingerprint(kept)
    return {"callbacks": kept, "levels": levels, "first": stretch.first, "last": stretch.last, "code": code}


def looks_ahead(callback: Any) -> bool:
    """Whether a callback may ask for the sparsity of later cycles, or for the number of cycles.

    The callbacks of this package do not ask. Any other callback may, unless its class has ``looks_ahead = False``.
    """
    if not isinstance(callback, CycleCallback) or type(callback).__module__.startswith("lightning_prune."):
        return False
    return bool(getattr(callback, "looks_ahead", True))


def notes_of(resolved: Resolved) -> dict[str, Config]:
    """Note what an arm needs of the dense run: its starting point, and a criterion that remembers weights.

    Args:
        resolved: The config of the arm.
    """
    found: dict[str, Config] = {}
    for entry in resolved.entries:
        if (callback := _needing(entry, resolved)) is not None:
            riders = Passengers([callback])
            found |= dict.fromkeys([*riders.starting_points, *riders.clocks], entry)
    return found


def _needing(entry: Config, resolved: Resolved) -> StartingPoint | IterativePruning | None:
    """The callback of an entry, if it may need something of the dense run."""
    cls = class_at(entry["class_path"])
    if isinstance(cls, type) and not issubclass(cls, StartingPoint | IterativePruning):
        return None
    made = next((one for one in resolved.callbacks if type(one) is cls), None)
    # The callbacks were made for another seed of the arm. A clock needs the same with every seed.
    if made is None or (isinstance(made, StartingPoint) and draws_in_cycles(cls)):
        (made,) = make_callbacks([entry])
    return made if isinstance(made, StartingPoint | IterativePruning) else None


def _rank(entry: Config) -> int:
    """The place of a callback in the fit, which does not depend on the order in the config."""
    return [*Kind, None].index(kind_in(entry))


def _without(entry: Config, names: Sequence[str]) -> Config:
    arguments = {key: value for key, value in (entry.get("init_args") or {}).items() if key not in names}
    kept = _as_before({"init_args": arguments})["init_args"]
    return entry_of(class_at(entry["class_path"]), kept)  # The class may have a second, shorter path.


def _as_before(entry: Config) -> Config:
    """Leave out the arguments that earlier versions did not have, where they have their defaults."""
    if not entry.get("init_args"):
        return entry
    return {**entry, "init_args": {key: one for key, one in entry["init_args"].items() if not _is_later(key, one)}}


def _is_later(name: str, value: Any) -> bool:
    written = f"{value['class_path'].rpartition('.')[2]}()" if isinstance(value, dict) else value
    return name in LATER and written == LATER[name]
