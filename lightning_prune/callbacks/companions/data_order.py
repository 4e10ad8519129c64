"""Retrain in an order of the data that a seed decides, so that copies of one pruned network differ in nothing else."""

import lightning.pytorch as pl

from lightning_prune.basics.checks import check_at_least, check_whole
from lightning_prune.basics.random_state import seed_all, seed_of
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.cycle import Cycle


class DataOrder(CycleCallback):
    """Seed the random generators at the start of every cycle: the order of the data, augmentation and dropout.

    Two fits that share a dense run and differ in this seed only give two copies of the same pruned network.
    :func:`~lightning_prune.regimes.measure` compares them. The dense run, the masks and the weights at the start of the
    cycle do not depend on it. Each process draws from a seed of its own.

    Data whose order comes from elsewhere is not reached: a loader with ``generator=...``, or the
    ``DistributedSampler`` of several processes, which goes by the number of the epoch.

    Args:
        seed: The seed of the cycles, at least 0. It need not differ from that of the dense run.

    Raises:
        ValueError: If the seed is negative.

    Example:
        >>> from lightning_prune import IterativePruning, OneShot
        >>> pruning = IterativePruning(cycles=1, retrain="160ep", sparsity=OneShot(0.94), dense_run="160ep")
        >>> callbacks = [pruning, DataOrder(seed=1)]
    """

    def __init__(self, seed: int = 0) -> None:
        check_whole("DataOrder", {"seed": seed})
        check_at_least("DataOrder", 0, {"seed": seed})
        self.seed = seed

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        seed_all(seed_of("data order", self.seed, cycle.index, trainer.global_rank))
