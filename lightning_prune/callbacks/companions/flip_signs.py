"""Flip the signs of some living weights at the start of every cycle."""

import lightning.pytorch as pl
import torch

from lightning_prune.basics.checks import is_number
from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.criteria.scores import DEAD
from lightning_prune.masks.masks import keep_top
from lightning_prune.selection.sharding import placed, whole


class FlipSigns(CycleCallback):
    """Flip the signs of random living weights at the start of every cycle.

    This is a perturbation: it shows how much a method owes to the signs that its weights start from. Only weights that
    can be pruned are flipped. Their magnitudes, their masks and the state of the optimizers stay as they are, and with
    them a momentum that belongs to the old sign: ``IterativePruning(optimizer_state="reset")`` forgets it. The draw is
    the same on every process, and leaves the random generators as they were. It comes after a starting point has set
    the weights. Write this callback before ``EstimateBatchNorm``, whose statistics are those of the weights it finds.

    Reference: Gadhikar & Burkholz, Masks, Signs, and Learning Rate Rewinding, 2024, https://arxiv.org/abs/2402.19262.
    The share of the weights that the authors flip is unconfirmed.

    Args:
        fraction: The fraction of the living weights of each tensor that is flipped, in (0, 1]. The number is rounded.
        seed: Decides, with the number of the cycle, which weights are flipped, at least 0.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> from lightning_prune import IterativePruning, LRRewind
        >>> callbacks = [IterativePruning(cycles=10), LRRewind(to=0), FlipSigns(fraction=0.2)]
    """

    def __init__(self, fraction: float = 0.1, seed: int = 0) -> None:
        if not (is_number(fraction) and 0 < fraction <= 1):
            raise UserError(f"FlipSigns(fraction={fraction!r}) must lie above 0 and be at most 1, for instance 0.1.")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UserError(f"FlipSigns(seed={seed!r}) is no seed: give a whole number of at least 0.")
        self.fraction = fraction
        self.seed = seed

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        masks = self.clock.masks
        for name, weight in self.clock.covered.items():
            mask = masks.get(name, torch.ones(weight.shape, dtype=torch.bool)).cpu()
            flipped = choose(mask, self.fraction, seed_of(self.seed, cycle.index, name))
            with torch.no_grad():
                weight.mul_(placed((1 - 2 * flipped.to(whole(weight))).contiguous(), weight))


def choose(mask: torch.Tensor, fraction: float, seed: int) -> torch.Tensor:
    """Choose living weights at random.

    Args:
        mask: Which weights live.
        fraction: The fraction of the living weights to choose, in [0, 1].
        seed: Decides which.

    Returns:
        A uint8 tensor of the shape of the mask, on the CPU, with 1 for the chosen weights.

    Example:
        >>> chosen = choose(torch.tensor([True, True, False, True, True]), fraction=0.5, seed=0)
        >>> int(chosen.sum()), int(chosen[2])
        (2, 0)
    """
    drawn = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed))
    return keep_top(drawn.masked_fill(~mask, DEAD), round(fraction * int(mask.sum())))
