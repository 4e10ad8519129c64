"""Turn the config of a network into the config of the fit that makes the network small."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.cli.sections import with_sections
from lightning_prune.schedules.durations import is_duration

SMALL = "small.safetensors"
POLICY = "LinearRestart"  # the best one at every budget that docs/claims.md measures
LOADING = "lightning_prune.lab.compress.trained_weights.TrainedWeights"
Measure = Literal["flops", "latency"]


@dataclass(frozen=True)
class Compression:
    """What a network is to become.

    Args:
        speedup: The operations (or the time) of the network over those of the small one, above 1.
        retrain: How long each cycle retrains, such as ``"10ep"``. None: as long as the dense run.
        cycles: In how many prunes the speed-up is reached, at least 1.
        measure: What is divided by ``speedup``: the floating-point operations or the measured time. None: the time if
            the config has a budget of time, and the operations otherwise.

    Raises:
        UserError: If a value lies outside its range.
    """

    speedup: float
    retrain: str | None = None
    cycles: int = 1
    measure: Measure | None = None

    def __post_init__(self) -> None:
        if not self.speedup > 1:
            raise UserError(f"`--speedup {self.speedup:g}` must be above 1. 2 halves the operations or the time.")
        if self.cycles < 1:
            raise UserError(f"`--cycles {self.cycles}` must be at least 1.")
        if self.retrain is not None and not is_duration(self.retrain):
            raise UserError(f"`--retrain {self.retrain}` is no length: give 10ep for epochs, or 500it for steps.")

    @property
    def sparsity(self) -> dict[str, Any]:
        """The sparsity schedule, as a config has it: every cycle removes the same fraction of what is left."""
        if self.cycles == 1:
            return {"class_path": "OneShot", "init_args": {"final": round(1 - 1 / self.speedup, 6)}}
        fraction = round(1 - self.speedup ** (-1 / self.cycles), 6)
        return {"class_path": "Geometric", "init_args": {"fraction": fraction}}


def compressing(config: Mapping[str, Any], goal: Compression, weights: Path | None, continued: bool) -> dict[str, Any]:
    """Write the config of the fit.

    What the given config says about the model, the data and the Trainer stays. So does its ``policy``, what its
    ``pruning`` says about the criterion, the allocation, the layers and the units, and what its ``Shrink`` says.

    Args:
        config: A config of ``lightning-prune fit``.
        goal: What the network is to become.
        weights: The trained weights. None: the fit begins with the dense run of the config.
        continued: Whether the file of ``weights`` holds a whole fit. Otherwise only the weights are taken.

    Returns:
        A config of ``lightning-prune fit``.

    Raises:
        UserError: If the config does not say how long the weights were trained, and the file does not say it either.

    Example:
        >>> config = {"trainer": {"max_epochs": 30}, "model": "Classifier"}
        >>> made = compressing(config, Compression(2, "10ep"), Path("trained.ckpt"), continued=True)
        >>> made["trainer"]["max_epochs"], made["pruning"]["dense_run"], made["pruning"]["sparsity"]["init_args"]
        (0, 'trained.ckpt', {'final': 0.5})
    """
    given = with_sections(config.get("fit", config))
    trainer, pruning = dict(given.get("trainer") or {}), _arguments(given.get("pruning"))
    callbacks = _listed(trainer.get("callbacks"))
    shrink = next((one for one in callbacks if _name(one) == "Shrink"), None)
    callbacks = [one for one in callbacks if one is not shrink]
    keeps_dense = any(_name(one) == "CycleCheckpoint" for one in callbacks)
    added: list[Any] = ["CycleCheckpoint"] if weights is None and not keeps_dense else []
    if weights is not None:
        pruning["dense_run"] = str(weights) if continued else _length(trainer, weights)
        added += [] if continued else [_entry(LOADING, path=str(weights))]
        trainer = {name: value for name, value in trainer.items() if name != "max_steps"} | {"max_epochs": 0}
    trainer["callbacks"] = [*callbacks, *added, _entry("Shrink", **{**_arguments(shrink), "save": SMALL})]
    whole = {name: value for name, value in given.items() if name not in ("start", "ckpt_path")}
    return {
        **whole,
        "trainer": trainer,
        "pruning": {
            "allocation": "isomorphic",
            "granularity": _entry("Structures"),
            **pruning,
            "cycles": goal.cycles,
            "retrain": goal.retrain,
            "sparsity": goal.sparsity,
            "measure": _measure(pruning.get("measure"), goal.measure),
        },
        "policy": given.get("policy") or POLICY,
    }


def _arguments(section: Any) -> dict[str, Any]:
    """The arguments in a section. It may be a mapping of them, or a class with arguments."""
    if not isinstance(section, Mapping):
        return {}
    return dict((section.get("init_args") or {}) if "class_path" in section else section)


def _measure(given: Any, wanted: Measure | None) -> Any:
    """What is divided. A budget of time in the config keeps its batch and its threads."""
    timed = isinstance(given, Mapping) or given in ("latency", "Latency")
    if timed and wanted != "flops":
        return given
    return wanted or "flops"


def _listed(callbacks: Any) -> list[Any]:
    given = callbacks if isinstance(callbacks, list) else [callbacks]
    return [one for one in given if one is not None]


def _name(entry: Any) -> str:
    return str(entry["class_path"] if isinstance(entry, Mapping) else entry).rpartition(".")[2]


def _entry(path: str, /, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


def _length(trainer: Mapping[str, Any], weights: Path) -> str:
    """How long the weights were trained, as the config says."""
    if (epochs := trainer.get("max_epochs") or 0) > 0:
        return f"{epochs}ep"
    if (steps := trainer.get("max_steps") or -1) > 0:
        return f"{steps}it"
    raise UserError(
        f"`--ckpt_path {weights}` holds weights only, and the config does not say how long they were trained. The "
        "learning rates of the retraining follow from it: put trainer.max_epochs into the config."
    )
