"""The base of callbacks that train with masks in which dead weights live again."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from lightning_prune.allocation import Allocation
from lightning_prune.basics.too_early import FromTraining, ObjectsOnly
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import in_both_namespaces, join_namespaces
from lightning_prune.callbacks.dynamic.company import refuse_company
from lightning_prune.callbacks.dynamic.logged import log_epoch
from lightning_prune.callbacks.dynamic.moving_masks import agreed_masks, move_masks_
from lightning_prune.callbacks.dynamic.owned import selected_weights
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.processes import refuse_strategy
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.resuming.damaged_checkpoints import check_before_loading
from lightning_prune.callbacks.resuming.exact_resume import ExactResume
from lightning_prune.callbacks.settings.described import describe_call, describe_object
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.criteria import Criterion
from lightning_prune.selection.filter_layout import transposed_groups
from lightning_prune.selection.prunable import Selection


@in_both_namespaces
class DynamicSparsity(Callback, ABC, metaclass=ObjectsOnly):
    """Train a network with masks that move: weights die, and dead weights live again.

    ``RigL``, ``SET`` and ``ACDC`` are such callbacks. Each goes over the whole of one ordinary fit, whose length and
    learning rates are the user's own. Dead weights are zero after every optimizer step. A weight that comes back starts
    at zero, and its optimizer state starts at zero, too. ``IterativePruning`` promises that no weight comes back, so it
    cannot stand in the same Trainer. An average of weights (``EMAWeightAveraging``) starts again whenever masks move.

    A subclass writes ``begin`` and one of ``batch_begins`` and ``step_begins``.

    Attributes:
        criterion: Scores the weights where masks are made anew.
        allocation: How many weights each tensor keeps there.
        prunable: Selects the weights that have masks. Weights that no optimizer holds stay dense.
        seed: Decides what is drawn. It is the same on every process.
    """

    _pruner = FromTraining[Pruner]()
    _hold = FromTraining[Hold]()
    _always_said: ClassVar[tuple[str, ...]] = ("sparsity",)
    criterion: Criterion
    allocation: Allocation
    prunable: Selection
    sparsity: float
    seed: int

    def __init__(self) -> None:
        join_namespaces()
        self._at = Position()
        self._moved = 0  # weights that came back in this epoch
        self._loaded: dict[str, Any] | None = None
        self._undo: Callable[[], object] = bool
        self._is_held = False

    def __repr__(self) -> str:
        return describe_call(self, self._always_said)

    @abstractmethod
    def begin(self, trainer: "pl.Trainer") -> None:
        """Make the first masks, in a fit that is not resumed."""

    def batch_begins(self, trainer: "pl.Trainer") -> None:
        """Move masks before a batch, if it is time."""

    def step_begins(self, trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
        """Move masks with the gradients of a step, if it is time.

        Args:
            trainer: The trainer.
            optimizer: The optimizer that is about to step. The gradients of the weights that it owns are reduced over
                all processes, and dense.

        Returns:
            Whether the masks have moved, in place of the step. The gradients are then dropped.
        """
        return False

    def own_state(self) -> dict[str, Any]:
        """What a subclass has to save, in plain types."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Take what :meth:`own_state` gave."""

    @property
    def masks(self) -> dict[str, Tensor]:
        """The masks by name, true where a weight is alive. Tensors without a dead weight are left out."""
        return self._pruner.whole_masks()

    @property
    def measured_sparsity(self) -> float:
        """The fraction of the prunable weights that is dead, counted."""
        return self._pruner.tally().sparsity

    @property
    def step(self) -> int:
        """How many optimizer steps were made since the start of the fit, before the current batch."""
        return self._at.step

    @property
    def phase(self) -> int:
        """The number of the phase, from 0. A fit whose sparsity stays is one phase."""
        return 0

    def epoch(self, trainer: "pl.Trainer") -> int:
        """The current epoch, counted from 0 at the start of the fit."""
        return int(trainer.current_epoch - self._at.first_epoch)

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        if stage != "fit":
            return
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        refuse_company(self, callbacks, DynamicSparsity)
        refuse_strategy(trainer.strategy, type(self).__name__)
        self._loaded, self._moved, self._at = None, 0, Position()
        added = [] if any(isinstance(one, ExactResume) for one in callbacks) else [ExactResume()]
        trainer.callbacks = sorted([*callbacks, *added], key=self._rank)  # type: ignore[attr-defined]
        self._undo = check_before_loading(trainer.strategy, lambda _: None)
        for callback in added:
            callback.setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._let_go()  # of a tuner's fit before this one
        name = type(self).__name__
        if any(isinstance(one, LBFGS) for one in trainer.optimizers):
            raise UserError(
                f"{name} moves masks between steps, and LBFGS searches along a line: use another optimizer."
            )
        weights = selected_weights(self.prunable, pl_module, trainer.optimizers, name)
        self._pruner = Pruner(weights, self.criterion, self.allocation, self.seed, transposed_groups(pl_module))
        self._hold = Hold(weights, trainer.optimizers, self._at.note_step)
        self._is_held = True
        if self._loaded is None:
            self._at.begin(trainer)
            self.begin(trainer)
        else:
            self._resume(self._loaded)
        self._hold.use(agreed_masks(trainer, self._pruner))

    def on_train_batch_start(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._at.count_step()
        self._hold.finish_batch_()
        self.batch_begins(trainer)

    def on_after_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not pl_module.automatic_optimization and not self.reads_gradients:
            self._hold.mask_gradients_()  # who optimizes by hand may clip at once

    @property
    def reads_gradients(self) -> bool:
        """Whether the gradients of dead weights are read in the coming step."""
        return False

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        moved = self.step_begins(trainer, optimizer)
        if not moved and self._hold.has_masks and self._hold.readers.are_there(trainer, optimizer):
            self._hold.mask_gradients_()

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._hold.finish_batch_(steps_are_seen=pl_module.automatic_optimization)
        self._at.count_step()

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        log_epoch(pl_module, self.phase, self._pruner.tally(), self._moved)
        self._moved = 0

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._let_go()

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._let_go()

    def state_dict(self) -> dict[str, Any]:
        if "_pruner" not in vars(self):
            return self._loaded or {}  # resumed where nothing was left to train, so that no batch has begun
        return {
            "as_given": describe_object(self),
            "at": self._at.state_dict(),
            "living": self._pruner.masks.pack(),
            "moved": self._moved,
            **self.own_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict or None

    def move_(
        self,
        trainer: "pl.Trainer",
        masks: Mapping[str, Tensor],
        optimizers: Sequence[Optimizer],
        at_once: bool = True,
    ) -> None:
        """Take new masks: zero the moments of weights that died or come back, and hold by the new masks.

        Args:
            trainer: The trainer. All processes have to call this, and the first one decides.
            masks: The new masks by name, uint8, whole.
            optimizers: The optimizers whose state is treated.
            at_once: Whether weights that died become zero now. If not, they do so after the step that is about to come.
        """
        self._moved += move_masks_(trainer, self._pruner, self._hold, masks, optimizers, at_once)

    def _resume(self, saved: Mapping[str, Any]) -> None:
        if saved["as_given"] != describe_object(self):
            raise UserError(
                f"The checkpoint was saved with {saved['as_given']}, and resumed with {describe_object(self)}. "
                "Resume with the arguments that the run was begun with."
            )
        self._at.load(saved["at"])
        self._pruner.masks.unpack_(saved["living"])
        self._moved = saved["moved"]
        self.load_own_state(saved)

    def _let_go(self) -> None:
        self._undo()
        if self._is_held:
            self._hold.remove()
            self._is_held = False

    def _rank(self, callback: Callback) -> int:
        return 0 if callback is self else 2 if isinstance(callback, ExactResume) else 1


def moving_of(callbacks: Iterable[object]) -> DynamicSparsity | None:
    """Find the callback of this family among callbacks. None if there is none.

    Args:
        callbacks: The callbacks.
    """
    return next((one for one in callbacks if isinstance(one, DynamicSparsity)), None)
