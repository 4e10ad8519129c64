"""What RigL and SET share: random first masks, and an update of the masks every so often."""

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune import criteria
from lightning_prune.allocation import Allocation
from lightning_prune.basics.checks import check_numbers, check_whole, require
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.dynamic.dynamic_sparsity import DynamicSparsity
from lightning_prune.masks.drop_and_grow import drop_and_grow
from lightning_prune.schedules.durations import Duration, parse_duration
from lightning_prune.schedules.rates.curves import whole
from lightning_prune.selection.prunable import Selection


class Rewiring(DynamicSparsity):
    """Drop the smallest living weights every so often, and let as many others live.

    Each tensor keeps as many weights as it had at the start, at every moment. The arguments are those of ``RigL``.
    """

    criterion = staticmethod(criteria.random)

    def __init__(
        self,
        sparsity: float,
        allocation: Allocation,
        every: str | int,
        fraction: float,
        until: str | float,
        prunable: Selection,
        seed: int,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_numbers(name, {"sparsity": sparsity, "fraction": fraction})
        require(0 < sparsity < 1, name, "sparsity", sparsity, "lie strictly between 0 and 1, such as 0.9")
        require(0 < fraction <= 1, name, "fraction", fraction, "lie in (0, 1], such as 0.3")
        check_whole(self, {"seed": seed})
        self.sparsity, self.allocation, self.prunable, self.seed = sparsity, allocation, prunable, seed
        self.every, self.fraction, self.until = every, fraction, until
        self._every = parse_duration(every, f"{name}(every")
        require(self._every.amount >= 1, name, "every", every, "be at least one epoch or step")
        self._fixed_end = None if isinstance(until, float) else parse_duration(until, f"{name}(until")
        if isinstance(until, float):
            require(0 < until <= 1, name, "until", until, "be a duration, or a fraction of the fit in (0, 1]")
        self._round, self._waiting, self._end = 0, set[str](), 0

    def fraction_at(self, step: int) -> float:
        """The fraction of the living weights that an update at a step moves.

        Args:
            step: The optimizer step, from 0 to the last update.
        """
        return self.fraction

    def begin(self, trainer: "pl.Trainer") -> None:
        self._round, self._waiting = 0, set()
        self._end = self._last_step(trainer)
        self._pruner.prune_(0, self.sparsity, trainer)

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        by_epochs = self._every.unit == "ep"
        now = (self.epoch(trainer) if by_epochs else self.step) // self._every.amount
        if now > self._round:
            self._round = now
            self._waiting = set(self._pruner.weights) if self.step < self._end else set()

    @abstractmethod
    def growing(self, name: str, weight: Tensor) -> Tensor:
        """Score which weights of a tensor should live: the highest scores.

        Args:
            name: The tensor.
            weight: Its present values.
        """

    def rewire_(
        self, trainer: "pl.Trainer", names: Iterable[str], optimizers: list[Optimizer], at_once: bool = True
    ) -> None:
        """Update the masks of some tensors.

        Args:
            trainer: The trainer.
            names: The tensors.
            optimizers: See :meth:`move_`.
            at_once: See :meth:`move_`.
        """
        fraction, masks = self.fraction_at(self.step), {}
        for name in sorted(names):
            mask, weight = self._pruner.masks[name], self._pruner.weights[name].detach()
            if mask is not None:  # a tensor that is all alive has nothing to grow
                count = whole(fraction, self._pruner.masks.living[name])
                masks[name] = drop_and_grow(mask, weight.abs(), self.growing(name, weight), count)
        self.move_(trainer, masks, optimizers, at_once)

    def own_state(self) -> dict[str, Any]:
        return {"round": self._round, "waiting": sorted(self._waiting), "end": self._end}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self._round, self._waiting, self._end = state["round"], set(state["waiting"]), state["end"]

    def _last_step(self, trainer: "pl.Trainer") -> int:
        """The step from which on the masks stay."""
        batches, epochs = trainer.num_training_batches, trainer.max_epochs
        per_epoch = math.inf if math.isinf(batches) else math.ceil(batches / trainer.accumulate_grad_batches)
        end: Duration | None = self._fixed_end
        if end is not None and end.unit == "it":
            return end.amount
        length = math.inf if epochs in (None, -1) else (epochs - trainer.current_epoch) * per_epoch
        if trainer.max_steps != -1:
            length = min(length, trainer.max_steps - trainer.global_step)
        found = length * float(self.until) if end is None else end.amount * per_epoch
        if math.isinf(found) or math.isnan(found):
            raise UserError(
                f"{type(self).__name__}(until={self.until!r}) is not known in steps, because the data or the fit has "
                "no length. Give steps, such as until='20000it'."
            )
        return round(found)
