"""Train every cycle from fresh weights, for the epochs or the operations of the dense run (Scratch-E and Scratch-B)."""

from typing import Literal

import lightning.pytorch as pl
from torch import Tensor

from lightning_prune.basics.checks import check_numbers
from lightning_prune.basics.renamed import renamed_argument
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.operations import flops_of_step
from lightning_prune.callbacks.gathering.training_steps import refuse_without_steps
from lightning_prune.callbacks.starting_points.initializations import Initialization
from lightning_prune.callbacks.starting_points.reinitialize import FreshStart
from lightning_prune.schedules.durations import Duration
from lightning_prune.selection.parameters import plain_name


class ScratchTrain(FreshStart):
    """Train the pruned network from scratch in every cycle, for the epochs or for the operations of the dense run.

    ``Reinitialize`` draws weights in the same way. With ``"equal-flops"`` a cycle lasts ``int(dense * min(FLOPs(dense)
    / FLOPs(pruned), cap))`` epochs (or steps, where the dense run goes by steps). The operations are counted after the
    prune, on the forward pass of one training batch: the operations of each layer times the density of its weights.
    (The authors' released scripts for unstructured pruning count before they load the pruned network, which makes the
    two budgets the same.) With ``granularity=Structures()`` the weights are those of the network without its dead
    units, drawn in its sizes, and its operations are counted exactly. Without a learning-rate policy beside this
    callback, the learning rates of the dense run are replayed from their start, stretched to the length of the cycle.

    Reference: Liu, Sun, Zhou, Huang & Darrell, Rethinking the Value of Network Pruning, 2019,
    https://arxiv.org/abs/1810.05270.

    Args:
        budget: ``"equal-epochs"`` trains for the epochs of the dense run, the paper's Scratch-E. ``"equal-flops"``
            trains for the operations of the dense run, the paper's Scratch-B.
        cap: The longest cycle for ``"equal-flops"``, in lengths of the dense run, at least 1. None: no limit. The
            authors' scripts use 2 for filters on ImageNet, and no limit on CIFAR.
        seed: The seed of the draw, at least 0.
        draw: ``"every-cycle"`` draws other weights in every cycle. ``"once"`` gives every cycle the same weights.
        initialize: A function that draws weights of the module in place. It is called last, when the layers have drawn
            their weights and dead weights are zero. The authors' code for unstructured pruning uses
            ``lightning_prune.callbacks.starting_points.initializations.sparse_fan_in_``. None: not called.
        initialise: The former name of ``initialize``, which goes with the next version.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if ``IterativePruning(retrain=...)``
            gives another length, if a layer does not say how its parameters are drawn, or if a training step cannot be
            tried out to count its operations (manual optimization, streamed data, sharded weights).

    Example:
        >>> ScratchTrain(budget="equal-flops", cap=2).rewind_point
        Duration(amount=0, unit='ep')
    """

    def __init__(
        self,
        budget: Literal["equal-epochs", "equal-flops"] = "equal-epochs",
        cap: float | None = None,
        seed: int = 0,
        draw: Literal["every-cycle", "once"] = "every-cycle",
        initialize: Initialization | None = None,
        initialise: Initialization | None = None,
    ) -> None:
        super().__init__(seed, draw, renamed_argument(self, "initialise", initialise, initialize))
        if budget not in ("equal-epochs", "equal-flops"):
            raise UserError(f"ScratchTrain(budget={budget!r}) is unknown: give 'equal-epochs' or 'equal-flops'.")
        check_numbers(self, {"cap": cap}, none=True)
        if cap is not None and not cap >= 1:
            raise UserError(f"ScratchTrain(cap={cap}) is in lengths of the dense run: give at least 1, or None.")
        if cap is not None and budget == "equal-epochs":
            raise UserError(f"ScratchTrain(cap={cap}) is for budget='equal-flops'. Equal epochs need no cap.")
        self.budget = budget
        self.cap = cap

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_start(trainer, pl_module)
        planned, dense = self.clock.cycle_length, self.clock.dense_length
        if planned != dense and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UserError(
                f"ScratchTrain(budget={self.budget!r}) says how long a cycle lasts, and IterativePruning(retrain="
                f"'{planned}') says otherwise (the dense run has {dense}). Leave retrain out, or use Reinitialize()."
            )
        if self.budget == "equal-flops" and self.clock.living_network is None:
            refuse_without_steps(trainer, "ScratchTrain(budget='equal-flops')")

    def length_of(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: int) -> Duration | None:
        if self.budget == "equal-epochs" or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return None
        amount = scratch_length(self.clock.dense_length.amount, *self._flops(trainer, pl_module), self.cap)
        # Batches differ, and with sequences so may what is counted: all processes have to stop together.
        return Duration(int(trainer.strategy.broadcast(amount)), self.clock.dense_length.unit)

    def _flops(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> tuple[float, float]:
        """The operations of the dense network and of the pruned one."""
        living = self.clock.living_network
        if living is not None:
            return living.flops()
        weights = {plain_name(name): weight for name, weight in pl_module.named_parameters()}
        densities: dict[Tensor, float] = {
            weights[name]: float(mask.float().mean()) for name, mask in self.clock.masks.items()
        }
        flops = flops_of_step(trainer)
        return flops.total, flops.pruned(densities)


def scratch_length(dense: int, dense_flops: float, pruned_flops: float, cap: float | None = None) -> int:
    """Compute how long a pruned network trains for the operations of the dense run.

    Args:
        dense: The length of the dense run, in epochs or steps.
        dense_flops: The operations of a batch in the dense network, above 0.
        pruned_flops: The operations of a batch in the pruned network, above 0 and at most ``dense_flops``.
        cap: The largest ratio, at least 1. None for no limit.

    Returns:
        The length, rounded down, at least ``dense``.

    Raises:
        ValueError: If nothing was counted, or nothing is left.

    Example:
        >>> scratch_length(160, 3.13e8, 2.06e8), scratch_length(90, 10, 2, cap=2), scratch_length(3, 7, 7)
        (243, 180, 3)
    """
    if not pruned_flops > 0:
        raise UserError(
            f"ScratchTrain(budget='equal-flops') counts {dense_flops:g} operations in a dense training step and "
            f"{pruned_flops:g} in a pruned one, which is no ratio: the training step has no matrix products or "
            "convolutions that torch counts, or all of their weights are dead. Use budget='equal-epochs'."
        )
    ratio = max(dense_flops / pruned_flops, 1.0)
    return int(dense * (ratio if cap is None else min(ratio, cap)))
