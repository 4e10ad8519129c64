"""Keep, in a dense run that several arms share, what each arm would have kept alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.compat.backbone_finetuning import select
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.callbacks.iterative_pruning import IterativePruning
from lightning_prune.callbacks.settings.described import describe, describe_object
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.criteria import needs_of
from lightning_prune.criteria.evidence import REMEMBERED


class Passengers(CycleCallback):
    """Keep what the arms will need of the dense run: weights to rewind to, and weights that criteria compare with.

    Args:
        callbacks: The callbacks of the arms.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        known = list(callbacks)
        self.starting_points = {
            describe_object(one): one for one in known if isinstance(one, StartingPoint) and keeps_something(one)
        }
        self.clocks = {evidence_of(one): one for one in known if isinstance(one, IterativePruning) and remembers(one)}
        self._gatherers: dict[str, Gatherer] = {}
        self._loaded: Mapping[str, Any] = {}

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            for one in self.starting_points.values():
                one.setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        for one in self.starting_points.values():
            one.on_train_start(trainer, pl_module)
        for name, clock in self.clocks.items():
            weights = select(clock.prunable, trainer, pl_module, clock.granularity).weights
            self._gatherers[name] = Gatherer(weights, clock.criterion, clock.seed)
            if name in self._loaded:
                self._gatherers[name].load_state_dict(self._loaded[name])
            else:
                self._gatherers[name].begin_fit()

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        for one in self.starting_points.values():
            one.on_train_epoch_start(trainer, pl_module)
        self._begin_epoch()

    def on_train_batch_start(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", batch: Any, batch_idx: int
    ) -> None:
        for one in self.starting_points.values():
            one.on_train_batch_start(trainer, pl_module, batch, batch_idx)
        self._begin_epoch()

    def state_dict(self) -> dict[str, Any]:
        return {
            "starting_points": {name: one.state_dict() for name, one in self.starting_points.items()},
            "evidence": {name: one.state_dict() for name, one in self._gatherers.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict["evidence"]
        for name, one in self.starting_points.items():
            one.load_state_dict(state_dict["starting_points"][name])

    def _begin_epoch(self) -> None:
        for gatherer in self._gatherers.values():
            gatherer.begin_epoch(self.clock.epoch)


def keeps_something(callback: StartingPoint) -> bool:
    """Whether a starting point keeps a state from the dense run."""
    goes_back = callback.rewind_point is not None  # the others take what they need at the first prune
    return goes_back and type(callback).state_dict is not Callback.state_dict


def remembers(clock: IterativePruning) -> bool:
    """Whether the criterion of a clock compares with weights of an earlier moment."""
    return any(kind in REMEMBERED for kind in needs_of(clock.criterion).kinds)


def evidence_of(clock: IterativePruning) -> str:
    """Describe the criterion of a clock and the weights it looks at, in words.

    Example:
        >>> evidence_of(IterativePruning())[:37]
        'lightning_prune.criteria.magnitude of'
    """
    return f"{describe(clock.criterion)} of {describe(clock.prunable)}"
