"""The base of optimizers that ask for the loss twice in a step, around any optimizer that steps in the end.

The first pass is at the weights. Then the weights move, and the second pass is there. The weights go back, and the base
optimizer steps with the gradient of the second pass. Learning rates, states and parameter groups are those of the base.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from lightning_prune.basics.random_state import put_back, take
from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.regimes.sharpness.kept_statistics import networks_of, statistics_kept
from lightning_prune.selection.sharding import is_sharded

Base = Callable[[Iterable[Any]], Optimizer]
Closure = Callable[[], Any]
_NOT_SAVED = ("step", "_opt_called")  # what a scheduler of torch hangs on an optimizer


class TwoPasses(Optimizer, ABC):
    """An optimizer that asks for the loss twice in a step. ``step`` needs a closure, which Lightning always gives.

    Both passes draw the same random numbers, so dropout is the same, and the random state advances once. BatchNorm
    takes its running statistics in the first pass only. A step is one step: for the base optimizer, for the hooks
    around steps, and for the Trainer.

    Args:
        params: What to optimize.
        base: Makes the optimizer that steps from ``params``.

    Attributes:
        base: The optimizer that steps. It shares its parameter groups and its state with this one.
    """

    def __init__(self, params: Iterable[Any], base: Base) -> None:
        self.base = base(params)
        if isinstance(self.base, LBFGS | TwoPasses):
            raise UserError(
                f"{type(self).__name__}(base={type(self.base).__name__}) asks for the loss in a loop of its own: give "
                "an optimizer that steps by the gradients that it finds, such as torch.optim.SGD."
            )
        if any(map(is_sharded, owned_by(self.base))):
            raise UserError(f"{type(self).__name__} needs whole weights, and these are sharded: train with DDP.")
        super().__init__(self.base.param_groups, self.base.defaults)
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @abstractmethod
    def move_(self, weights: Sequence[Tensor]) -> Callable[[], None]:
        """Move the weights to where the loss is asked for again.

        Args:
            weights: The weights that have a gradient.

        Returns:
            What to do with the gradients of the second pass, once the weights are back.
        """

    def remember_(self, weights: Sequence[Tensor]) -> None:
        """Remember what the next steps need, after a step.

        Args:
            weights: The weights that have stepped.
        """

    @property
    def steps_taken(self) -> int:
        """How many steps were made. Saved with the parameter groups."""
        return int(self.param_groups[0].get("steps_taken", 0))

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Make one step.

        Args:
            closure: Sets the gradients to zero, computes the loss and its gradients, and returns the loss.

        Returns:
            The loss of the first pass.

        Raises:
            ValueError: If there is no closure, or the closure does not compute whole gradients each time.
        """
        if closure is None:
            raise UserError(
                f"{type(self).__name__}.step() was called without a closure, and it asks for the loss twice. Train "
                "with precision 'bf16-mixed' or '32-true', since the gradient scaler of '16-mixed' gives no closure. "
                "In a loop of your own, give one."
            )
        random = take()
        loss = self._ask_first(closure)
        weights = [weight for weight in owned_by(self) if weight.grad is not None]
        if weights:
            before = [weight.clone() for weight in weights]
            try:
                finish = self.move_(weights)
                put_back(random)
                self._ask_again(closure)
            finally:
                for weight, old in zip(weights, before, strict=True):
                    weight.copy_(old)
            finish()
        self.base.step()
        self.remember_(weights)
        self.param_groups[0]["steps_taken"] = self.steps_taken + 1
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._zeroed = True
        super().zero_grad(set_to_none)

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name not in (*vars(self.base), *_NOT_SAVED)}
        return super().__getstate__() | own

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.base.__setstate__({"state": self.state, "param_groups": self.param_groups})

    def _ask_first(self, closure: Closure) -> Any:
        """Ask for the loss at the weights, and see that the gradients are those of the whole batch."""
        old = [(weight, weight.grad) for weight in owned_by(self) if weight.grad is not None]
        self._zeroed = False
        with torch.enable_grad():
            loss = closure()
        if not self._zeroed and any(weight.grad is gradient for weight, gradient in old):
            raise UserError(
                f"{type(self).__name__} asks for the loss twice, and found gradients that the closure had not "
                "computed. Set Trainer(accumulate_grad_batches=1), since the second pass sees the last batch only. In "
                "manual optimization, give optimizer.step a closure that sets the gradients to zero and computes them."
            )
        return loss

    def _ask_again(self, closure: Closure) -> None:
        for weight in owned_by(self):
            weight.grad = None
        with torch.enable_grad(), statistics_kept(networks_of(closure)):
            closure()
