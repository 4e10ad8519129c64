"""Rates that depend on the prune: on the norm that it removed, or on the weights that are left."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.basics.checks import check_at_least, check_positive
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import ShapedRate
from lightning_prune.callbacks.policies.restarts import LinearRestart
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch
from lightning_prune.callbacks.timing.timeline import in_steps
from lightning_prune.schedules import rates
from lightning_prune.selection.sharding import whole


class AdaptiveLinearRestart(LinearRestart):
    """ALLR: like ``LinearRestart``, but it starts higher the more norm the prune removed, or the longer the cycle is.

    The peak is ``max_lr * clip(d, budget, 1)`` with ``d = |W - W'| / (|W| * sqrt(s))``. Here ``|W - W'|`` is the norm
    that the prune removed, over all parameters of the module. ``s`` is the fraction of the living weights that the
    prune removed, and ``budget`` is the length of the cycle divided by the length of the dense run. Both norms are
    measured where each cycle begins, after the prune and before any other callback sets weights.

    Reference: Zimmer, Spiegel & Pokutta, How I Learned to Stop Worrying and Love Retraining, 2023,
    https://arxiv.org/abs/2111.00843. In the authors' code the norm is over every weight and bias, BatchNorm included.

    Args:
        max_lr: The highest peak that is possible, above 0. None for the largest rate of the dense run.
        warmup: The fraction of the cycle that rises, in [0, 1].

    Raises:
        ValueError: If an argument lies outside its range. When the training starts, if there is no dense run whose
            length a cycle could be compared with.

    Example:
        >>> policy = AdaptiveLinearRestart(max_lr=0.1)
        >>> policy.fraction = 0.4
        >>> cycle = Cycle(index=1, first_step=0, steps=20, sparsity=0.2)
        >>> [round(policy.learning_rate(step, cycle), 5) for step in (0, 1, 2, 11, 19)]
        [0.0, 0.02, 0.04, 0.02, 0.00222]
    """

    def forget(self) -> None:
        super().forget()
        self.fraction = 1.0  # of the highest rate, in the cycle that is under way
        self._norm, self._density = 0.0, 1.0

    def on_train_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        if self.clock.dense_length.amount == 0 and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UserError(
                "AdaptiveLinearRestart compares the length of a cycle with that of the dense run, but there is none "
                "(max_epochs=0). Say how long it was: IterativePruning(dense_run='160ep'), or use LinearRestart()."
            )

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._norm, self._density = squared_norm(pl_module), 1 - self.clock.measured_sparsity

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        before, after = self._norm, squared_norm(pl_module)
        drop = math.sqrt(abs(before - after) / before) if before else 0.0
        pruned = 1 - (1 - self.clock.measured_sparsity) / self._density
        fraction = rates.restart_peak(drop, pruned, self._budget(trainer))
        self.fraction = trainer.strategy.broadcast(fraction)  # sums may differ in the last bit from device to device

    def highest(self, cycle: Cycle) -> float:
        return self.fraction * (self.dense_peak if self.max_lr is None else self.max_lr)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "fraction": self.fraction}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.fraction = state_dict["fraction"]

    def _budget(self, trainer: "pl.Trainer") -> float:
        cycle, dense = self.clock.cycle_length, self.clock.dense_length
        if cycle.unit != dense.unit:
            per_epoch = steps_per_epoch(trainer)
            cycle, dense = (in_steps(length, per_epoch, "AdaptiveLinearRestart") for length in (cycle, dense))
        return cycle.amount / max(dense.amount, 1)


class PruningAware(ShapedRate):
    """ICE's rate: constant within a cycle, and lower once about ``turn`` of the weights are gone.

    The rate is ``base - drop / (1 + (x / (2 * (1 - turn) - x)) ** beta)`` for a density ``x``. It falls as the network
    gets sparser, while the peak of SILO grows. The policy is meant for short fine-tuning after each prune.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural
    Networks, 2025, https://arxiv.org/abs/2505.07411. The defaults stand in a comment of the authors' code, which tunes
    all four. Here ``x`` counts the prunable weights. In the authors' code it counts all weights but those of the first
    layer.

    Args:
        base: The rate of a dense network, above 0. The authors' code tries 0.001, 0.002 and 0.005.
        turn: The sparsity at which half of the fall is done, in (0, 1). The authors' code calls it ``p``.
        beta: How steeply the rate falls, above 0.
        drop: How much the rate falls in all, in [0, base]. The authors' code calls it ``delta``.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> policy = PruningAware()
        >>> [round(policy.learning_rate(0, Cycle(1, 0, 20, sparsity)), 6) for sparsity in (0.0, 0.1, 0.12, 0.14, 0.5)]
        [0.001, 0.00093, 0.000625, 0.00032, 0.00025]
    """

    def __init__(self, base: float = 0.001, turn: float = 0.12, beta: float = 50, drop: float = 0.00075) -> None:
        super().__init__()
        check_positive(self, {"base": base, "turn": turn, "beta": beta})
        check_at_least(self, 0, {"drop": drop})
        if turn >= 1:
            raise UserError(f"PruningAware(turn={turn}) is a sparsity: give a number between 0 and 1, such as 0.12.")
        if drop > base:
            raise UserError(f"PruningAware(base={base}, drop={drop}) would fall below 0: give a drop of at most base.")
        self.base = base
        self.turn = turn
        self.beta = beta
        self.drop = drop

    def highest(self, cycle: Cycle) -> float:
        return rates.pruning_aware(cycle.density, self.base, self.turn, self.beta, self.drop)

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        return self.highest(cycle)


def squared_norm(module: nn.Module) -> float:
    """The squared norm of all parameters, in double precision. With several processes, all of them have to call it.

    Args:
        module: The module.

    Returns:
        The sum of the squares.

    Example:
        >>> squared_norm(nn.BatchNorm1d(4))
        4.0
    """
    return float(sum(_squared(whole(parameter).detach()) for parameter in module.parameters()))


def _squared(parameter: Tensor) -> float:
    real = torch.view_as_real(parameter) if parameter.is_complex() else parameter
    if not real.is_floating_point():
        return 0.0
    real = real.cpu() if real.device.type == "mps" else real  # MPS has no double precision
    return float(torch.linalg.vector_norm(real, dtype=torch.float64)) ** 2
