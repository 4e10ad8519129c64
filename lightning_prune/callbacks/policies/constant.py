"""Rates that stay constant: the last or the largest rate of the dense run, or a rate of your own."""

from collections.abc import Sequence

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune.basics.checks import check_positive
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.base import LearningRatePolicy, ShapedRate, in_proportion
from lightning_prune.callbacks.policies.tape import Rate


class FineTune(LearningRatePolicy):
    """Retrain at the last learning rate of the dense run, constant.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Args:
        lr: The rate to use instead, above 0. It is the rate of the parameter group with the largest dense rate. The
            other groups follow in proportion.

    Raises:
        ValueError: If ``lr`` is not above 0.

    Example:
        >>> policy = FineTune()
        >>> policy.tape.record(0, (Rate(lr=0.1, momentum=0.9),))
        >>> policy.tape.record(1, (Rate(lr=0.001, momentum=0.9),))
        >>> policy.rates(5, Cycle(index=1, first_step=2, steps=10, sparsity=0.2))
        (Rate(lr=0.001, momentum=0.9),)
    """

    def __init__(self, lr: float | None = None) -> None:
        super().__init__()
        check_positive(self, {"lr": lr}, none=True)
        self.lr = lr

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        if self.lr is None and self.tape.length and not any(rate.lr for rate in self.tape.last):
            rank_zero_warn(
                "FineTune() repeats the last dense learning rate, which is 0: the pruned network will not learn. Give "
                "FineTune(lr=...), or a policy that restarts the rate, such as LRRewind()."
            )

    def rates(self, step: int, cycle: Cycle) -> Sequence[Rate]:
        # The last row itself, not a ratio of it: groups may have been on schedules of their own.
        return self.tape.last if self.lr is None else in_proportion(self.tape, self.lr)


class ConstantRate(ShapedRate):
    """Retrain at one learning rate, the largest of the dense run unless another is given.

    This policy is the control of every schedule that raises the rate. It is also one of the four baselines of SILO,
    whose value for the rate is not confirmed.

    Reference: Liu, Ghosh, Tan & Motani, Optimizing Learning Rate Schedules for Iterative Pruning of Deep Neural
    Networks, 2023, https://arxiv.org/abs/2212.06144.

    Args:
        lr: The rate, above 0. It is the rate of the parameter group with the largest dense rate. The other groups
            follow in proportion. None for the largest rate of the dense run.

    Raises:
        ValueError: If ``lr`` is not above 0.

    Example:
        >>> policy = ConstantRate()
        >>> policy.tape.record(0, (Rate(lr=0.1, momentum=0.9),))
        >>> policy.tape.record(1, (Rate(lr=0.001, momentum=0.9),))
        >>> policy.rates(5, Cycle(index=1, first_step=2, steps=10, sparsity=0.2))
        [Rate(lr=0.1, momentum=0.9)]
    """

    def __init__(self, lr: float | None = None) -> None:
        super().__init__()
        check_positive(self, {"lr": lr}, none=True)
        self.lr = lr

    def highest(self, cycle: Cycle) -> float:
        return self.dense_peak if self.lr is None else self.lr

    def learning_rate(self, step: int, cycle: Cycle) -> float:
        return self.highest(cycle)
