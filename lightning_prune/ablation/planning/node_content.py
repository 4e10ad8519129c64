"""What determines the weights at the end of a node, given its parent: all of it, and nothing else."""

from collections.abc import Sequence
from typing import Any

from lightning_prune.ablation.config.callback_objects import make_callbacks
from lightning_prune.ablation.config.keys import Config
from lightning_prune.ablation.planning.fingerprints import code_fingerprint
from lightning_prune.ablation.planning.resolving import Resolved
from lightning_prune.ablation.sharing.dense_run_extras import Passengers
from lightning_prune.ablation.sharing.stretches import Stretch
from lightning_prune.basics.dotted_paths import class_at, dotted
from lightning_prune.callbacks.base import CycleCallback, CycleClock
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.starting_points.base import StartingPoint

# What of a Trainer says how the run is shown and where it is written, not what it computes.
SHOWN = (
    "logger",
    "enable_progress_bar",
    "enable_model_summary",
    "enable_checkpointing",
    "default_root_dir",
    "log_every_n_steps",
    "profiler",
)
SPENT = ("cycles", "sparsity")  # of IterativePruning: what was reached by a cycle counts, not what is to come


def dense_content(resolved: Resolved, whole: bool) -> dict[str, Any]:
    """What determines a dense run; where nothing is shared, a whole run.

    Args:
        resolved: The config.
        whole: Whether the node is the whole run.
    """
    config = resolved.config
    trainer = {key: value for key, value in config["trainer"].items() if key not in SHOWN}
    entries = resolved.entries
    if not whole:
        entries = [one for one in entries if not is_of_cycles(one)]
        trainer["early_stopping"] = resolved.clock.early_stopping if resolved.clock else None
    trainer["callbacks"] = entries
    content = {"model": config.get("model"), "data": resolved.data_settings}
    remembered = [] if whole else list(notes_of(resolved.entries).values())
    return {
        "trainer": trainer,
        **content,
        "code": code_fingerprint([trainer, content, remembered]),
        "fingerprint": resolved.data,
    }


def cycle_content(resolved: Resolved, stretch: Stretch) -> dict[str, Any]:
    """What determines the cycles of a node, given its parent.

    Args:
        resolved: The config.
        stretch: Which cycles.
    """
    clock = resolved.clock
    assert clock is not None, "without a clock there is no cycle"
    callbacks = [one for one in resolved.entries if is_of_cycles(one)]
    ahead = any(looks_ahead(one) for one in resolved.callbacks)
    kept = sorted([_without(one, () if ahead else SPENT) for one in callbacks], key=_rank)
    levels = [clock.scheduled(cycle) for cycle in range(1, stretch.last + 1)]
    code = code_fingerprint(kept)
    return {"callbacks": kept, "levels": levels, "first": stretch.first, "last": stretch.last, "code": code}


def looks_ahead(callback: Any) -> bool:
    """Whether a callback may ask for the sparsity of later cycles, or how many there are.

    Those of this package do not. Of others it is not known, unless their class says ``looks_ahead = False``.
    """
    if not isinstance(callback, CycleCallback) or type(callback).__module__.startswith("lightning_prune."):
        return False
    return bool(getattr(callback, "looks_ahead", True))


def is_of_cycles(entry: Config) -> bool:
    """Whether a callback does nothing in the dense run but to look on."""
    cls = class_at(entry["class_path"])
    return isinstance(cls, type) and issubclass(cls, CycleCallback | CycleClock)


def notes_of(entries: Sequence[Config]) -> dict[str, Config]:
    """What an arm needs to know about the dense run: its starting point, and a criterion that remembers."""
    found: dict[str, Config] = {}
    for entry, callback in zip(entries, make_callbacks(entries), strict=True):
        if isinstance(callback, StartingPoint | IterativePruning):
            riders = Passengers([callback])
            found |= dict.fromkeys([*riders.starting_points, *riders.clocks], entry)
    return found


def _rank(entry: Config) -> int:
    """The order that the fit puts them into, however they are written."""
    kinds = (CycleClock, LearningRatePolicy, StartingPoint)
    cls = class_at(entry["class_path"])
    return next((rank for rank, kind in enumerate(kinds) if issubclass(cls, kind)), len(kinds))


def _without(entry: Config, names: Sequence[str]) -> Config:
    arguments = {key: value for key, value in (entry.get("init_args") or {}).items() if key not in names}
    # A class may have a longer name, too.
    return {"class_path": dotted(class_at(entry["class_path"])), "init_args": arguments}
