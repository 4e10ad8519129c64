"""Cycles that are left out as a test says, not as the validation does."""

from collections.abc import Sequence
from typing import Literal

from lightning_prune import RetrainWhenNeeded
from lightning_prune.callbacks.companions.retrain_when_needed import Reference

NEVER, ALWAYS = 1e9, 0.0


class Chosen(RetrainWhenNeeded):
    """Leaves out the cycles that it is told, whatever was lost."""

    def __init__(
        self,
        left_out: Sequence[int] = (),
        monitor: str = "val_loss",
        mode: Literal["max", "min"] = "min",
        reference: Reference = "original",
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, reference=reference)
        self.left_out = left_out

    def length_of(self, trainer, pl_module, cycle):
        self.threshold = NEVER if cycle in self.left_out else -NEVER
        return super().length_of(trainer, pl_module, cycle)
