"""Retrain with the outputs of the dense network as a second target."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lightning_prune.basics.checks import check_positive, check_whole
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.starting_points.repairing.dense_copy import DenseCopy
from lightning_prune.selection.parameters import plain_name


class DistillFromDense(CycleCallback):
    """Add the distance from the dense network's predictions to the loss of the cycles.

    The loss of a batch becomes ``loss + weight * KL``. ``KL`` is the Kullback-Leibler divergence of the softmax of the
    network's scores from that of the dense network's scores on the same inputs, both divided by ``temperature``, as a
    mean over samples. The dense network is the one before the first prune, in evaluation mode. It goes with any policy
    and any starting point. Without a call of the dense network, as in validation, nothing changes. A step takes one
    forward pass more. The dense network lies in CPU memory, on the device, and in every checkpoint.

    The scores are what a module returns whose call ``training_step`` makes: the LightningModule itself
    (``self(images)``), or the module that ``scores`` names.

    Reference: Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network, 2015,
    https://arxiv.org/abs/1503.02531. Hu, Henderson & Cano, ICE-Pruning, 2025, https://arxiv.org/abs/2505.07411, whose
    code has a temperature of 2, a weight of 1 and no factor. Hinton et al. multiply with ``temperature`` squared: give
    that as the weight.

    Args:
        temperature: What scores are divided by, above 0.
        weight: The weight of the divergence, above 0.
        scores: The name of the module whose output are the scores, such as ``"network"``. None: the LightningModule.
        dim: The dimension of the classes in the scores.

    Raises:
        ValueError: If an argument lies outside its range. When the fit starts, if the module optimizes by hand, or if
            there is no module of this name. In the first batch of a cycle, if the module is not called, or returns no
            tensor. If ``Shrink(at="cycles")`` has made the network smaller than the dense one.

    Example:
        >>> from lightning_prune import IterativePruning, LRRewind
        >>> callbacks = [IterativePruning(cycles=5, retrain="2ep"), LRRewind(), DistillFromDense(temperature=2)]
    """

    def __init__(self, temperature: float = 2.0, weight: float = 1.0, scores: str | None = None, dim: int = -1) -> None:
        check_positive(self, {"temperature": temperature, "weight": weight})
        check_whole(self, {"dim": dim})
        self.temperature = temperature
        self.weight = weight
        self.scores = scores
        self.dim = dim
        self.forget()

    def forget(self) -> None:
        self._dense = DenseCopy()
        self._there: dict[str, Tensor] = {}  # the dense network on the device
        self._undo: list[Callable[[], object]] = []
        self._distances: list[Tensor] = []
        self._inside = False  # whether a training step of the network itself is running

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not pl_module.automatic_optimization:
            raise UserError(
                f"DistillFromDense adds to the loss that training_step returns, and {type(pl_module).__name__} "
                "optimizes by hand. Add the distance in training_step."
            )
        self._module_of(pl_module)

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self.clock.cycle is None and not self._dense.tensors:
            self._dense.take(pl_module)

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        if self.clock.cycle is None:
            return
        self._let_go()  # of a batch that failed
        target, own = self._module_of(pl_module), pl_module.training_step
        hook = target.register_forward_hook(self._compare, with_kwargs=True)

        def with_distance(*arguments: Any, **options: Any) -> Any:
            self._inside = True  # under DDP the module is called around the step, too
            try:
                output = own(*arguments, **options)
            finally:
                self._inside = False
            return self._added(output)

        pl_module.training_step = with_distance  # type: ignore[method-assign]
        self._undo = [hook.remove, lambda: delattr(pl_module, "training_step")]
        if not self._there:
            self._place(target, pl_module)

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._let_go()

    def on_cycle_start(self, *_: Any) -> None:
        self._there = {}  # the network may have other sizes now

    def on_exception(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._let_go()

    def on_train_end(self, trainer: "pl.Trainer", *_: Any) -> None:
        self._let_go()
        self._there = {}

    def state_dict(self) -> dict[str, Any]:
        return self._dense.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._dense.load_state_dict(state_dict)

    def _module_of(self, pl_module: "pl.LightningModule") -> nn.Module:
        named = dict(pl_module.named_modules())
        if self.scores is not None and self.scores not in named:
            raise UserError(
                f"DistillFromDense(scores={self.scores!r}): {type(pl_module).__name__} has no such module. It has "
                f"{', '.join(list(named)[1:9])}."
            )
        return pl_module if self.scores is None else named[self.scores]

    def _place(self, target: nn.Module, pl_module: "pl.LightningModule") -> None:
        """Bring the dense network to the device, by its names in the module that gives the scores."""
        names = {id(one): plain_name(name) for name, one in [*pl_module.named_parameters(), *pl_module.named_buffers()]}
        own = dict([*target.named_parameters(), *target.named_buffers()])
        dense = {name: (one, self._dense.tensors[names[id(one)]]) for name, one in own.items() if id(one) in names}
        if smaller := [name for name, (one, before) in dense.items() if one.shape != before.shape]:
            raise UserError(
                f"DistillFromDense cannot run the dense network: {smaller[0]} is smaller now. Leave out "
                "Shrink(at='cycles'), or give Shrink() to make the network small at the end."
            )
        self._there = {name: before.to(one.device, one.dtype) for name, (one, before) in dense.items()}

    def _compare(self, target: nn.Module, arguments: Any, options: Any, output: Any) -> None:
        if not self._inside:
            return
        self._inside = False  # the call of the dense network has this hook, too
        with torch.no_grad(), _evaluating(target):
            dense = torch.func.functional_call(target, self._there, arguments, options)
        self._inside = True
        self._distances.append(divergence(self._tensor(output), self._tensor(dense), self.temperature, self.dim))

    def _tensor(self, output: Any) -> Tensor:
        found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
        if not isinstance(found, Tensor):
            raise UserError(
                f"DistillFromDense(scores={self.scores!r}) needs a tensor of scores, or an output with `logits`, and "
                f"got {type(output).__name__}. Name the module that returns the scores."
            )
        return found

    def _added(self, output: Any) -> Any:
        distances, self._distances = self._distances, []
        loss = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None:
            return output
        if not distances:
            called = "forward" if self.scores is None else self.scores
            raise UserError(
                f"DistillFromDense found no scores: training_step does not call {called!r} of the module. Name the "
                "module whose output are the scores: DistillFromDense(scores='...')."
            )
        loss = loss + self.weight * torch.stack(distances).sum()
        return {**output, "loss": loss} if isinstance(output, Mapping) else loss

    def _let_go(self) -> None:
        for undo in self._undo:
            undo()
        self._undo, self._distances = [], []


def divergence(scores: Tensor, dense: Tensor, temperature: float, dim: int = -1) -> Tensor:
    """The Kullback-Leibler divergence from the dense network's softmax, as a mean over all that is no class.

    Args:
        scores: The scores of the network.
        dense: The scores of the dense network, in the same shape.
        temperature: What both are divided by.
        dim: The dimension of the classes.

    Example:
        >>> scores = torch.tensor([[0.0, 1.0]])
        >>> divergence(scores, scores, 2.0).item()
        0.0
    """
    given = (scores.float() / temperature).log_softmax(dim)
    wanted = (dense.float() / temperature).log_softmax(dim)
    return (wanted.exp() * (wanted - given)).sum(dim).mean()


class _evaluating:
    """Let a module be in evaluation mode, and put back the mode of each part."""

    def __init__(self, module: nn.Module) -> None:
        self._modes = [(one, one.training) for one in module.modules()]

    def __enter__(self) -> None:
        for one, _ in self._modes:
            one.training = False

    def __exit__(self, *_: object) -> None:
        for one, mode in self._modes:
            one.training = mode
