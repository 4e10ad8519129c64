"""Retrain a sparse network by low-rank adapters that keep its zeros."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, AdamW, Optimizer

from lightning_prune.basics.checks import (
    check_at_least,
    check_at_least_one,
    check_fraction,
    check_positive,
    check_whole,
)
from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.companions.low_rank import LowRank, added_to, scaling
from lightning_prune.callbacks.companions.train_only import TrainOnly
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.regimes.sharpness.two_passes import TwoPasses
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded

PARTS = ("norm", "bias", "head")


class Adapters(TrainOnly):
    """The common base of adapters that change the prunable weights in the cycles.

    Args:
        rank: The rank of the adapters, at least 1. Smaller weights have their own smaller side.
        learning_rate: The largest rate of the adapters, above 0.
        warmup: The share of a cycle in which their rate rises from 0, in [0, 1]. Then it falls to 0 in a line.
        weight_decay: The weight decay of the adapters, at least 0.
        parts: What else is trained, as for ``TrainOnly``.
    """

    def __init__(
        self, rank: int, learning_rate: float, warmup: float, weight_decay: float, parts: Sequence[str]
    ) -> None:
        super().__init__(parts)
        check_at_least_one(self, "rank", rank)
        check_positive(self, {"learning_rate": learning_rate})
        check_fraction(self, {"warmup": warmup})
        check_at_least(self, 0, {"weight_decay": weight_decay})
        self.rank = rank
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.weight_decay = weight_decay

    def forget(self) -> None:
        super().forget()
        self._changes: dict[str, LowRank] = {}
        self._weights: dict[str, nn.Parameter] = {}
        self._optimizer: AdamW | None = None
        self._saved: Mapping[str, Any] | None = None

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        super().on_train_start(trainer, pl_module)
        self._refuse(trainer, pl_module)
        still = {id(one) for one in self._still}
        named = {plain_name(name): one for name, one in pl_module.named_parameters()}
        wanted = [name for name, one in named.items() if name in self.clock.covered and one.dim() > 1]
        self._weights = {name: named[name] for name in wanted if id(named[name]) in still}
        if not self._weights:
            raise UserError(
                f"{type(self).__name__}(parts={list(self.parts)!r}) leaves no prunable weight that could be adapted: "
                "all are trained as a whole. Give fewer parts."
            )
        if self._saved is not None:
            changes = {name: LowRank(**_on(one, named[name])) for name, one in self._saved["changes"].items()}
            self._begin(changes)
            assert self._optimizer is not None
            self._optimizer.load_state_dict(self._saved["optimizer"])
            self._saved = None

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        super().on_cycle_start(trainer, pl_module, cycle)
        self._changes, self._optimizer = {}, None  # those of the cycle before are in the weights

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        cycle = self.clock.cycle
        if cycle is None or self._optimizer is not None:
            return
        # Not in on_cycle_start: another callback may set weights after this one.
        self._begin({name: self.change_of(weight, name, cycle) for name, weight in self._weights.items()})
        self.clock.note("adapters", sum(one.numel() for change in self._changes.values() for one in _matrices(change)))

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        if self.clock.cycle is not None and not _overflows(trainer, optimizer):
            self._step(optimizer)
        super().on_before_optimizer_step(trainer, pl_module, optimizer)

    @abstractmethod
    def change_of(self, weight: Tensor, name: str, cycle: Cycle) -> LowRank:
        """The adapter of a weight, which changes nothing yet.

        Args:
            weight: The weight.
            name: Its name.
            cycle: The cycle that begins.
        """

    def rate(self, step: int, cycle: Cycle) -> float:
        """The rate of the adapters.

        Args:
            step: The step in the cycle, from 0.
            cycle: The cycle.
        """
        rising = self.warmup * cycle.steps
        if step + 1 < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * max(cycle.steps - step, 0) / max(cycle.steps - rising, 1)

    def state_dict(self) -> dict[str, Any]:
        changes = {name: {**vars(one)} for name, one in self._changes.items()}
        plain = {name: {key: _plain(value) for key, value in one.items()} for name, one in changes.items()}
        return {} if self._optimizer is None else {"changes": plain, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict or None

    def _begin(self, changes: dict[str, LowRank]) -> None:
        self._changes = changes
        matrices = [one for change in changes.values() for one in _matrices(change)]
        self._optimizer = AdamW(matrices, lr=self.learning_rate, weight_decay=self.weight_decay)

    def _step(self, optimizer: Optimizer) -> None:
        """Step the adapters of the weights that an optimizer holds, and merge them."""
        cycle, own = self.clock.cycle, {id(one) for group in optimizer.param_groups for one in group["params"]}
        if cycle is None or self._optimizer is None:
            return
        moved = {}
        for name, change in self._changes.items():
            weight = self._weights[name]
            if id(weight) in own and weight.grad is not None:
                change.take_gradient_(weight.grad)
                moved[name] = change
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(self.clock.step - cycle.first_step, cycle)
        self._optimizer.step()
        self._optimizer.zero_grad()
        with torch.no_grad():
            for name, change in moved.items():
                self._weights[name].copy_(change.merged())

    def _refuse(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        name, kinds = type(self).__name__, [type(one).__name__ for one in trainer.optimizers if _asks_twice(one)]
        reason = None
        if not pl_module.automatic_optimization:
            reason = f"{type(pl_module).__name__} optimizes by hand, and the adapters would miss its steps"
        elif any(map(is_sharded, pl_module.parameters())):
            reason = "weights are sharded, and whole ones are needed; train with DDP"
        elif kinds:
            reason = f"{kinds[0]} asks for the loss several times in a step; give another optimizer, such as AdamW"
        if reason is not None:
            raise UserError(f"{name} cannot train adapters here: {reason}.")


class MaskedLoRA(Adapters):
    """Train low-rank adapters of the sparse weights in the cycles, and parts of the network besides.

    A weight becomes ``W + alpha / rank * (B A) * [W != 0]``. The adapters are merged in every step, so that dead
    weights are zero at every moment, and any checkpoint holds the network as it is used. A new cycle prunes the merged
    weights and begins with new adapters. The adapters have an ``AdamW`` of their own with a linear warm-up and a linear
    fall. The policy and the module's optimizer are for ``parts`` only. Their state for the adapted weights stays as it
    is. Gradient clipping does not reach the adapters. The backward pass computes the gradient of the whole weight, from
    which the chain rule gives those of the adapters. So the memory of optimizer states is saved, and not that of
    gradients.

    Reference: Zimmer, Andoni, Spiegel & Pokutta, PERP: Rethinking the Prune-Retrain Paradigm in the Era of LLMs, 2023,
    https://arxiv.org/abs/2312.15230. Formula, rank, alpha and the kind of schedule are those of the authors' code. The
    learning rate is ours.

    Args:
        rank: The rank of the adapters, at least 1. Smaller weights have their own smaller side.
        alpha: The strength of the adapters, above 0.
        learning_rate: The largest rate of the adapters, above 0.
        warmup: The share of a cycle in which their rate rises, in [0, 1].
        weight_decay: The weight decay of the adapters, at least 0.
        parts: What else is trained, as for ``TrainOnly``: ``"norm"``, ``"bias"``, ``"head"`` or patterns for names.
        seed: Decides the draw of ``A``, at least 0. ``B`` is zero at first.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if a part names no parameter, if no
            prunable weight is left to adapt, if the module optimizes by hand, if weights are sharded, or if an
            optimizer asks for the loss several times (``LBFGS``, ``SAM``).

    Example:
        >>> from lightning_prune import IterativePruning, OneShot
        >>> pruning = IterativePruning(cycles=1, retrain="2ep", sparsity=OneShot(0.5))
        >>> callbacks = [pruning, MaskedLoRA(rank=8)]
    """

    def __init__(
        self,
        rank: int = 16,
        alpha: float = 32.0,
        learning_rate: float = 0.001,
        warmup: float = 0.1,
        weight_decay: float = 0.0,
        parts: Sequence[str] = PARTS,
        seed: int = 0,
    ) -> None:
        super().__init__(rank, learning_rate, warmup, weight_decay, parts)
        check_positive(self, {"alpha": alpha})
        check_whole(self, {"seed": seed})
        check_at_least(self, 0, {"seed": seed})
        self.alpha = alpha
        self.seed = seed

    def change_of(self, weight: Tensor, name: str, cycle: Cycle) -> LowRank:
        generator = torch.Generator().manual_seed(seed_of(self.seed, cycle.index, name))
        return added_to(weight, self.rank, self.alpha, generator)


class ScaledLoRA(Adapters):
    """Train low-rank factors of the sparse weights in the cycles, and parts of the network besides.

    A weight becomes ``W * (B A)``, where both matrices begin with ``1 / sqrt(rank)`` everywhere. So all components
    begin equal and get equal gradients, and the product stays of rank 1, whatever ``rank`` is. That is so in the
    authors' code, too. All else is as with :class:`MaskedLoRA`.

    Reference: Zimmer, Andoni, Spiegel & Pokutta, PERP: Rethinking the Prune-Retrain Paradigm in the Era of LLMs, 2023,
    https://arxiv.org/abs/2312.15230. Formula, rank and start are those of the authors' code. The learning rate is ours.

    Args:
        rank: The rank of the adapters, at least 1. Smaller weights have their own smaller side.
        learning_rate: The largest rate of the adapters, above 0.
        warmup: The share of a cycle in which their rate rises, in [0, 1].
        weight_decay: The weight decay of the adapters, at least 0.
        parts: What else is trained, as for ``TrainOnly``.

    Raises:
        ValueError: As with ``MaskedLoRA``.

    Example:
        >>> from lightning_prune import IterativePruning
        >>> callbacks = [IterativePruning(cycles=3, retrain="2ep"), ScaledLoRA(rank=1, parts=["norm", "bias"])]
    """

    def __init__(
        self,
        rank: int = 16,
        learning_rate: float = 0.001,
        warmup: float = 0.1,
        weight_decay: float = 0.0,
        parts: Sequence[str] = PARTS,
    ) -> None:
        super().__init__(rank, learning_rate, warmup, weight_decay, parts)

    def change_of(self, weight: Tensor, name: str, cycle: Cycle) -> LowRank:
        return scaling(weight, self.rank)


def _matrices(change: LowRank) -> tuple[nn.Parameter, nn.Parameter]:
    return change.first, change.second


def _asks_twice(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, LBFGS | TwoPasses)


def _overflows(trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
    """Whether a ``GradScaler`` will skip the step."""
    if getattr(trainer.precision_plugin, "scaler", None) is None:
        return False
    gradients = [one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
    return not all(bool(one.isfinite().all()) for one in gradients)


def _plain(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def _on(saved: Mapping[str, Any], weight: Tensor) -> dict[str, Any]:
    placed = {key: one.to(weight.device) if isinstance(one, Tensor) else one for key, one in saved.items()}
    return {**placed, "first": nn.Parameter(placed["first"]), "second": nn.Parameter(placed["second"])}
