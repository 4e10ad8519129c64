"""The base class of the callbacks that set the weights at the start of a cycle.

The weights are set in ``on_cycle_start``, after the prune. ``IterativePruning`` applies
the masks once more afterwards. A fit has at most one of these callbacks.
"""

from abc import ABC, abstractmethod

import lightning.pytorch as pl

from lightning_prune.callbacks.base import CycleCallback, Kind
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.schedules.durations import Duration


class StartingPoint(CycleCallback, ABC):
    """Sets the weights at the start of every cycle.

    Attributes:
        to: The point of the dense run that these weights belong to, as the user wrote it. Without a learning-rate
            policy beside this callback, the rates of the dense run are replayed from there.
        rewind_point: The same as a duration. None: the weights belong to no earlier point, and without a policy the
            cycle is fine-tuned.
    """

    _kind = Kind.WEIGHTS
    to: str | int = 0
    rewind_point: Duration | None = Duration(0, "ep")

    @abstractmethod
    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        """Set the weights, and forget what the optimizers gathered about others."""
