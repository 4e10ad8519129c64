"""Start every cycle at fresh weights: the control of lottery tickets."""

from typing import Any, Literal

import lightning.pytorch as pl
from torch import nn

from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.renamed import renamed_argument
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleClock
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.callbacks.starting_points.fresh_weights import fresh_weights_, refuse_without_fresh_weights
from lightning_prune.callbacks.starting_points.initializations import Initialization
from lightning_prune.masks.multiply import multiply_
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.regrowth import briefly_whole


class FreshStart(StartingPoint):
    """The common base of callbacks that draw all weights again at the start of every cycle.

    Args:
        seed: The seed of the draw, at least 0.
        draw: ``"every-cycle"`` draws other weights in every cycle. ``"once"`` gives every cycle the same weights.
        initialize: A function that draws weights of the module in place. It is called last. None: not called.

    Raises:
        ValueError: If an argument lies outside its range.
    """

    former_arguments: tuple[str, ...] = ("initialise",)

    def __init__(self, seed: int, draw: str, initialize: Initialization | None) -> None:
        check_draw(self, seed, draw, initialize)
        self.seed = seed
        self.draw = draw
        self.initialize = initialize

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        with briefly_whole(pl_module):  # it is small where a fit with Shrink(at="cycles") is resumed
            refuse_without_fresh_weights(pl_module, type(self).__name__, self.initialize, self.clock.living_network)

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        start_anew(trainer, pl_module, seed_of_cycle(self.seed, self.draw, cycle), self.clock, self.initialize)


class Reinitialize(FreshStart):
    """Draw all weights again at the start of every cycle, and keep the masks.

    This is the control of lottery tickets if the masks come from the tickets.
    ``IterativePruning(masks_from="runs/ticket")`` takes the masks from the run that found the tickets, cycle by cycle.
    Without ``masks_from``, only the first cycle has the ticket's masks, because every later prune ranks weights that
    were trained from a fresh draw.

    Each layer's own ``reset_parameters`` draws the fresh weights, or the LightningModule's ``init_weights`` if the
    module has it, or that of the network inside. A control has to start from the same distribution as the dense run.
    Use ``initialize`` if the network was initialized in another way when it was made. The statistics of BatchNorm and
    the state of the optimizers are reset, too. Frozen parameters stay. The draw is the same on every process, depends
    only on the seed, and leaves the random generators as they were. With ``granularity=Structures()`` the weights are
    drawn for the network without its dead units, in its sizes, and put into the living places. Without a learning-rate
    policy beside this callback, the learning rates of the dense run are replayed from their start, and
    ``IterativePruning(retrain=None)`` makes each cycle as long as the dense run.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks, 2019,
    https://arxiv.org/abs/1803.03635.

    Args:
        seed: The seed of the draw, at least 0. The paper draws three times for each ticket: give 0, 1 and 2 to three
            runs.
        draw: ``"every-cycle"`` draws other weights in every cycle. ``"once"`` gives every cycle the same weights.
        initialize: A function that draws weights of the module in place, such as
            ``lightning_prune.lab.networks.initialization.glorot_normal_``. It is called last, when the layers have
            drawn their weights and dead weights are zero. None: not called.
        initialise: The former name of ``initialize``, which goes with the next version.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if a layer does not say how its
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
        initialize: Initialization | None = None,
        initialise: Initialization | None = None,
    ) -> None:
        super().__init__(seed, draw, renamed_argument(self, "initialise", initialise, initialize))


def start_anew(
    trainer: "pl.Trainer",
    pl_module: "pl.LightningModule",
    seed: int,
    clock: CycleClock,
    initialize: Initialization | None,
) -> None:
    """Give a network fresh weights, and clear the state of its optimizers.

    Where whole structures are pruned, the weights are those of the network without its dead units.

    Args:
        trainer: The trainer.
        pl_module: The network.
        seed: Decides the draw.
        clock: Knows which weights are dead.
        initialize: Called last, with dead weights at zero or, where structures are pruned, removed. None: not called.
    """

    def under_the_masks(module: nn.Module) -> None:
        weights = {plain_name(name): weight for name, weight in module.named_parameters()}
        multiply_((weights[name], mask) for name, mask in clock.masks.items())
        if initialize is not None:
            initialize(module)

    living = clock.living_network
    if living is None:
        fresh_weights_(pl_module, seed, under_the_masks)
    else:
        fresh_weights_(pl_module, seed, initialize, living)
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


def check_draw(owner: object, seed: Any, draw: str, initialize: Any) -> None:
    """Refuse a seed, a kind of draw or a function that is none.

    Args:
        owner: The callback, for the error.
        seed: The seed.
        draw: The kind of draw.
        initialize: The initialization.

    Raises:
        ValueError: If one lies outside its range.
    """
    name = type(owner).__name__
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise UserError(f"{name}(seed={seed!r}) is no seed: give a whole number of at least 0.")
    if draw not in ("every-cycle", "once"):
        raise UserError(f"{name}(draw={draw!r}) is unknown: give 'every-cycle' or 'once'.")
    if initialize is not None and not callable(initialize):
        raise UserError(f"{name}(initialize={initialize!r}) is not callable: give a function of a module, or None.")
