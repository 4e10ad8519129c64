"""AC/DC: sparse and dense phases by turns."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import lightning.pytorch as pl
import torch

from lightning_prune import allocation as allocations
from lightning_prune import criteria
from lightning_prune.basics.checks import check_numbers, check_whole, require
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.best_checkpoint import choose_afresh
from lightning_prune.callbacks.dynamic.dynamic_sparsity import DynamicSparsity
from lightning_prune.masks.masks import Masks
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.schedules.durations import parse_duration
from lightning_prune.selection.prunable import Prunable, Selection


class ACDC(DynamicSparsity):
    """Train a dense and a sparse network together, in dense and sparse phases by turns.

    A sparse phase begins with a prune, and its mask stays until the phase ends. Then all dead weights are released:
    they start at zero, and learn again. The last phase is sparse, so the fit ends with a sparse network of exactly the
    given sparsity. The network at the end of the last dense phase is a good dense network, too. Every
    ``ModelCheckpoint`` with a monitor chooses its best again in each phase.

    Reference: Peste, Iofinova, Vladu & Alistarh, AC/DC: Alternating Compressed/DeCompressed Training of Deep Neural
    Networks, 2021, https://arxiv.org/abs/2106.12379.

    Args:
        sparsity: The fraction of the prunable weights that is dead in the sparse phases, in (0, 1).
        prune_at: When the sparse phases begin: epochs such as ``"10ep"``, or all in steps such as ``"500it"``.
        release_at: When the dense phases between them begin: one less, each between two prunes.
        criterion: How much each weight matters.
        allocation: How many weights each tensor keeps.
        optimizer_state: The treatment of the optimizers' state at a release. ``"reset"`` forgets all of it, as in the
            authors' runs. ``"mask"`` sets the moments of the released weights to zero, and keeps the others.
        prunable: Selects the weights.
        seed: Decides what a random criterion keeps.

    Raises:
        ValueError: If an argument lies outside its range, or prunes and releases do not take turns. When the fit
            starts, as for ``RigL``, or if the fit would end in a dense phase.

    Example:
        >>> callbacks = [ACDC(0.9, prune_at=["10ep", "50ep"], release_at=["30ep"])]
        >>> callbacks[0].phase_at(0, 0), callbacks[0].phase_at(10, 0), callbacks[0].phase_at(60, 0)
        (0, 1, 3)
    """

    def __init__(
        self,
        sparsity: float,
        prune_at: Sequence[str | int],
        release_at: Sequence[str | int] = (),
        criterion: criteria.Criterion = criteria.magnitude,
        allocation: allocations.Allocation = allocations.globally,
        optimizer_state: Literal["reset", "mask"] = "reset",
        prunable: Selection = Prunable(),
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_numbers("ACDC", {"sparsity": sparsity})
        require(0 < sparsity < 1, "ACDC", "sparsity", sparsity, "lie strictly between 0 and 1, such as 0.9")
        require(
            optimizer_state in ("reset", "mask"), "ACDC", "optimizer_state", optimizer_state, "be 'reset' or 'mask'"
        )
        check_whole(self, {"seed": seed})
        self.sparsity, self.prune_at, self.release_at = sparsity, list(prune_at), list(release_at)
        self.criterion, self.allocation, self.prunable, self.seed = criterion, allocation, prunable, seed
        self.optimizer_state = optimizer_state
        self._phase, self._turns = 0, self._in_turns()

    def phase_at(self, epoch: int, step: int) -> int:
        """The number of the phase: 0 for the first dense phase, odd for sparse ones.

        Args:
            epoch: The epoch, from 0 at the start of the fit.
            step: The optimizer step, from 0.
        """
        now = {"ep": epoch, "it": step}
        return sum(now[turn.unit] >= turn.amount for turn in self._turns)

    @property
    def phase(self) -> int:
        return self._phase

    def begin(self, trainer: "pl.Trainer") -> None:
        self._phase = 0
        last, epochs, steps = self._turns[-1], trainer.max_epochs, trainer.max_steps
        length = steps if last.unit == "it" else (epochs if epochs is not None else -1)
        if (
            length != -1
            and length - (trainer.current_epoch if last.unit == "ep" else trainer.global_step) <= last.amount
        ):
            raise UserError(
                f"ACDC(prune_at={self.prune_at}) prunes last at {last}, when the fit is over: it would end with a "
                "dense network. Let the last prune be earlier, or the fit longer."
            )

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        due = self.phase_at(self.epoch(trainer), self.step)
        while self._phase < due:
            self._phase += 1
            (self._prune if self._phase % 2 else self._release)(trainer)
            choose_afresh(trainer)

    def own_state(self) -> dict[str, Any]:
        return {"phase": self._phase}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        self._phase = state["phase"]

    def _prune(self, trainer: "pl.Trainer") -> None:
        self._pruner.prune_(self._phase, self.sparsity, trainer)
        masks = {name: mask for name in self._pruner.weights if (mask := self._pruner.masks[name]) is not None}
        self._pruner.masks = Masks(self._pruner.weights)
        self.move_(trainer, masks, trainer.optimizers)

    def _release(self, trainer: "pl.Trainer") -> None:
        held = {name: mask for name in self._pruner.weights if (mask := self._pruner.masks[name]) is not None}
        self.move_(trainer, {name: torch.ones_like(mask) for name, mask in held.items()}, trainer.optimizers)
        self._pruner.masks = Masks(self._pruner.weights)
        self._hold.use({})
        for optimizer in trainer.optimizers if self.optimizer_state == "reset" else ():
            reset_(optimizer)

    def _in_turns(self) -> list[Any]:
        """The moments of all prunes and releases, which have to take turns."""
        prunes = [parse_duration(one, "ACDC(prune_at") for one in self.prune_at]
        releases = [parse_duration(one, "ACDC(release_at") for one in self.release_at]
        turns = [one for pair in zip(prunes, releases, strict=False) for one in pair] + prunes[len(releases) :]
        rises = all(one.amount < other.amount and one.unit == other.unit for one, other in pairwise(turns))
        if len(prunes) != len(releases) + 1 or not rises:
            raise UserError(
                f"ACDC(prune_at={self.prune_at}, release_at={self.release_at}) must prune and release by turns, begin "
                "and end with a prune, and have one unit: prune_at=['10ep', '50ep'], release_at=['30ep']."
            )
        return turns
