"""Where a cycle's weights start: at fresh ones; under the masks of lottery tickets, their control."""

from typing import Any, Literal

import lightning.pytorch as pl
from torch import nn

from lightning_prune.basics.random_state import seed_of
from lightning_prune.callbacks.base import CycleClock
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.callbacks.starting_points.fresh_weights import fresh_weights_, refuse_without_fresh_weights
from lightning_prune.initializations import Initialisation
from lightning_prune.masks.masks import multiply_
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.selection.parameters import plain_name


class Reinitialize(StartingPoint):
    """Draw all weights anew at the start of every cycle, and keep the masks.

    This is the control of lottery tickets if the masks are those of the tickets:
    ``IterativePruning(masks_from="runs/ticket")`` takes them from the run that found them, cycle by cycle. Without it,
    only the first cycle has the ticket's masks: every later prune ranks weights that were trained from a fresh draw.

    Fresh weights come from each layer's own ``reset_parameters``, or the LightningModule's ``init_weights`` where it
    has one; ``initialise`` is for networks that were drawn otherwise when they were made, since a control has to start
    from the distribution of the dense run. The statistics of BatchNorm and the state of the optimizers are reset, too;
    what is frozen stays. The draw is the same on every process, depends on nothing else that is drawn, and leaves the
    random generators where they were. Without a learning-rate policy beside it the dense run's rates are replayed from
    their start, and ``IterativePruning(retrain=None)`` makes the cycles as long.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks, 2019,
    https://arxiv.org/abs/1803.03635.

    Args:
        seed: Decides the draw, at least 0; the paper draws three times for each ticket: give 0, 1 and 2 to three runs.
        draw: ``"every-cycle"`` draws other weights in every cycle, ``"once"`` the same ones.
        initialise: A function that draws weights of the module in place, after its layers have drawn theirs and dead
            weights are zero, such as ``lightning_prune.lab.networks.initialization.glorot_normal_``; None for nobody.

    Raises:
        ValueError: If an argument lies outside its range; when the fit starts, if a layer does not say how its
            parameters are drawn.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> callbacks = [IterativePruning(cycles=10, masks_from="runs/ticket"), Reinitialize(seed=1)]
        >>> callbacks[1].rewind_point
        Duration(amount=0, unit='ep')
    """

    def __init__(
        self,
        seed: int = 0,
        draw: Literal["every-cycle", "once"] = "every-cycle",
        initialise: Initialisation | None = None,
    ) -> None:
        check_draw(self, seed, draw, initialise)
        self.seed = seed
        self.draw = draw
        self.initialise = initialise

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        refuse_without_fresh_weights(pl_module, type(self).__name__, self.initialise)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        start_anew(trainer, pl_module, seed_of_cycle(self.seed, self.draw, cycle), self.clock, self.initialise)


def start_anew(
    trainer: "pl.Trainer",
    pl_module: "pl.LightningModule",
    seed: int,
    clock: CycleClock,
    initialise: Initialisation | None,
) -> None:
    """Give a network fresh weights, and its optimizers nothing to remember.

    Args:
        trainer: The trainer.
        pl_module: The network.
        seed: Decides the draw.
        clock: Knows which weights are dead.
        initialise: Has the last word, with dead weights at zero; None for nobody.
    """

    def under_the_masks(module: nn.Module) -> None:
        weights = {plain_name(name): weight for name, weight in module.named_parameters()}
        multiply_((weights[name], mask) for name, mask in clock.masks.items())
        if initialise is not None:
            initialise(module)

    fresh_weights_(pl_module, seed, under_the_masks)
    for optimizer in trainer.optimizers:
        reset_(optimizer)


def seed_of_cycle(seed: int, draw: str, cycle: Cycle) -> int:
    """The seed of a cycle's weights.

    Example:
        >>> first, second = Cycle(1, 10, 5, 0.2), Cycle(2, 15, 5, 0.4)
        >>> seed_of_cycle(0, "once", first) == seed_of_cycle(0, "once", second)
        True
        >>> seed_of_cycle(0, "every-cycle", first) == seed_of_cycle(0, "every-cycle", second)
        False
    """
    return seed_of(seed, cycle.index if draw == "every-cycle" else 0)


def check_draw(owner: object, seed: Any, draw: str, initialise: Any) -> None:
    """Refuse a seed, a kind of draw or an initialisation that is none.

    Args:
        owner: The callback, for the error.
        seed: The seed.
        draw: The kind of draw.
        initialise: The initialisation.

    Raises:
        ValueError: If one lies outside its range.
    """
    name = type(owner).__name__
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"{name}(seed={seed!r}) is no seed: give a whole number of at least 0.")
    if draw not in ("every-cycle", "once"):
        raise ValueError(f"{name}(draw={draw!r}) is unknown: give 'every-cycle' or 'once'.")
    if initialise is not None and not callable(initialise):
        raise ValueError(f"{name}(initialise={initialise!r}) is not callable: give a function of a module, or None.")
