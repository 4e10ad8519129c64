"""Measure how many signs of the living weights have changed, at the end of the dense run and of every cycle."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from lightning_prune.basics.file_names import SIGNS_FROM_BEFORE, SIGNS_FROM_INITIAL
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.masks.signs import Signs
from lightning_prune.selection.sharding import whole
from lightning_prune.shrinking.regrowth import briefly_whole


class SignChanges(CycleCallback):
    """Log how many living weights have another sign than at initialization, and than at the end of the cycle before.

    Two shares are measured at the end of the dense run and of each cycle, over the prunable weights that live in it:
    ``pruning/signs_from_initial`` and ``pruning/signs_from_before``. For the dense run both compare with the start of
    the fit. If the fit begins with the weights of an earlier dense run, these stand for the initial weights. A weight
    that was or is exactly zero has no sign, and does not count as changed. The shares go to the loggers, into
    ``pruning.json`` under ``signs``, and into the report. This callback changes nothing of the training. Checkpoints
    grow by half a byte for each prunable weight.

    Reference: Gadhikar & Burkholz, Masks, Signs, and Learning Rate Rewinding, 2024, https://arxiv.org/abs/2402.19262.

    Example:
        >>> from lightning_prune import IterativePruning, LRRewind
        >>> callbacks = [IterativePruning(cycles=10), LRRewind(), SignChanges()]
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.found: dict[int, dict[str, float]] = {}  # by the number of the cycle, 0 for the dense run
        self._initial: Signs | None = None
        self._before: Signs | None = None

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self._initial is None:
            with briefly_whole(pl_module):
                self._initial = self._before = Signs.of(self._weights())
        elif self.found:  # of a fit that is resumed
            self._write()

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._measure(trainer)
        self._before = Signs.of(self._weights())

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        with briefly_whole(pl_module):
            self._measure(trainer)

    def _weights(self) -> Mapping[str, Tensor]:
        return {name: whole(weight).detach() for name, weight in self.clock.covered.items()}

    def _measure(self, trainer: "pl.Trainer") -> None:
        """Measure the phase that ends."""
        if self._initial is None or self._before is None:
            return
        weights, masks = self._weights(), self.clock.masks
        shares = {
            SIGNS_FROM_INITIAL: self._initial.share_differing(weights, masks),
            SIGNS_FROM_BEFORE: self._before.share_differing(weights, masks),
        }
        self.found[0 if self.clock.cycle is None else self.clock.cycle.index] = shares
        step = max(trainer.fit_loop.epoch_loop._batches_that_stepped - 1, 0)  # the last step of the phase
        for logger in trainer.loggers:
            logger.log_metrics({f"pruning/{name}": share for name, share in shares.items()}, step=step)
        self._write()

    def _write(self) -> None:
        self.clock.note("signs", [{"cycle": cycle, **shares} for cycle, shares in self.found.items()])

    def state_dict(self) -> dict[str, Any]:
        kept = {"initial": self._initial, "before": self._before}
        return {"found": self.found, **{name: one.state_dict() for name, one in kept.items() if one is not None}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.found = dict(state_dict["found"])
        self._initial, self._before = (
            Signs(**state_dict[name]) if name in state_dict else None for name in ("initial", "before")
        )
