"""Keep dead weights dead by hooks around the optimizers' steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.masks.factors import Factors, as_factors, product
from lightning_prune.masks.masks import multiply_
from lightning_prune.masks.optimizer_state import has_skipped, is_elementwise, mask_moments_, owned_by, reset_
from lightning_prune.selection.parameters import identity
from lightning_prune.selection.sharding import is_sharded, whole
from lightning_prune.shrinking.slices import Cut, cut

_Pair = tuple[Tensor, Tensor]  # a weight and its mask


class Hold:
    """Keeps the dead weights of a fit at zero.

    After every step the weights that the optimizer owns are masked. This is right for any optimizer, because momentum
    and weight decay cannot revive weights that are set to zero after them. The weights of other optimizers are left
    alone, because a loss that is still to be differentiated may need these weights as they are. Weights that no
    optimizer owns are masked around each batch, where no such loss waits. Gradients are also masked before the step if
    they are used there: by clipping, by a hook, or by an optimizer whose steps mix weights.

    Args:
        weights: The prunable weights by name.
        optimizers: The optimizers of the fit, which get the hooks.
        stepped: A function that is called after each step. It is not called for a step that was skipped because
            gradients overflowed.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], optimizers: Sequence[Optimizer] = (), *stepped: Callable[[], object]
    ) -> None:
        self.weights = weights
        self._masks: dict[Tensor, Factors] = {}
        self._shapes = {name: weight.shape for name, weight in weights.items()}
        self._optimizers = list(optimizers)
        self._owned: dict[int, list[_Pair]] = {}
        self._unowned: list[_Pair] = []
        self._sizes: list[int] = []

        def after_step(optimizer: Optimizer, *_: object) -> None:
            if self._masks:
                multiply_(self._of(optimizer))
            if not has_skipped(optimizer):
                for tell in stepped:
                    tell()

        self._handles = [optimizer.register_step_post_hook(after_step) for optimizer in optimizers]

    @property
    def is_on(self) -> bool:
        """Whether dead weights are kept at zero. False after the fit."""
        return bool(self._handles)

    @property
    def is_cut(self) -> bool:
        """Whether weights have become smaller since, because dead units were removed from them."""
        return any(weight.shape != self._shapes[name] for name, weight in self.weights.items())

    def zeros(self) -> int:
        """How many masked weights are zero: after the fit the weights of another checkpoint may have been loaded."""
        masks = {weight: product(factors, weight.shape) for weight, factors in self._masks.items()}
        return sum(
            mask.numel() - int(mask.count_nonzero())
            if is_sharded(weight)
            else int(torch.count_nonzero((weight == 0) & (mask.to(weight.device) == 0)))
            for weight, mask in masks.items()
        )

    def is_laid_over(self, weights: Mapping[str, Tensor]) -> bool:
        """Whether other weights carry the zeros of these masks, all of them: they were loaded or trained on.

        Args:
            weights: Weights by name.
        """
        if self.is_cut:
            return False
        held = {name: one for name, one in self.weights.items() if one in self._masks}
        masks = {name: product(self._masks[one], one.shape) for name, one in held.items()}
        return bool(masks) and all(
            name in weights
            and weights[name].shape == mask.shape
            and not whole(weights[name])[whole(mask).to(weights[name].device) == 0].any()
            for name, mask in masks.items()
        )

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def use(self, masks: Mapping[str, Tensor | Factors]) -> None:
        """Hold by these masks from now on, by name, and apply them.

        Args:
            masks: A mask for each weight that is not all alive, or several that can be broadcast to its shape.
        """
        self._masks = {self.weights[name]: as_factors(mask) for name, mask in masks.items()}
        self._share_out()
        self.apply_()

    def cut_(self, cuts: Mapping[str, Cut]) -> None:
        """Go on with what is left of the masks, after units were removed from the weights.

        Args:
            cuts: What is left of each weight, by name.
        """
        named = {weight: cuts.get(name, {}) for name, weight in self.weights.items() if weight in self._masks}
        left = {weight: tuple(cut(one, named[weight]) for one in masks) for weight, masks in self._masks.items()}
        left = {weight: tuple(one for one in masks if not bool(one.all())) for weight, masks in left.items()}
        self._masks = {weight: masks for weight, masks in left.items() if masks}
        self._share_out()

    def apply_(self) -> None:
        """Mask the weights."""
        multiply_(self._pairs())

    def finish_batch_(self, steps_are_seen: bool = True) -> None:
        """Mask the weights that no optimizer owns, between two batches.

        Args:
            steps_are_seen: Whether every step is a step of the given optimizers. An optimizer inside another optimizer
                steps unseen. Then all weights are masked.
        """
        multiply_(self._unowned if steps_are_seen else self._pairs())

    def mask_gradients_(self) -> None:
        """Mask the gradients, so that norms count living weights only."""
        multiply_((weight.grad, mask) for weight, mask in self._pairs() if weight.grad is not None)

    def treat_(self, optimizers: list[Optimizer], treatment: str) -> None:
        """Treat the state of the optimizers at a prune: ``"mask"``, ``"reset"`` or ``"keep"``."""
        for optimizer in optimizers:
            if treatment == "mask":
                for place in range(max(map(len, self._masks.values()), default=0)):
                    mask_moments_(optimizer, {w: one[place] for w, one in self._masks.items() if place < len(one)})
            elif treatment == "reset":
                reset_(optimizer)

    def _of(self, optimizer: Optimizer) -> list[_Pair]:
        """What an optimizer owns of the masked weights."""
        if self._sizes != _sizes(self._optimizers):  # a callback has unfrozen something
            self._share_out()
        return self._owned.get(id(optimizer), [])

    def _share_out(self) -> None:
        """Find out which masked weights each optimizer owns: once a prune, since it takes longer than a step."""
        weights, owned = {identity(weight): weight for weight in self._masks}, set()
        for optimizer in self._optimizers:
            mine = {identity(one) for one in owned_by(optimizer)} & weights.keys()
            self._owned[id(optimizer)] = list(self._pairs(weight for key, weight in weights.items() if key in mine))
            owned |= mine
        self._unowned = list(self._pairs(weight for key, weight in weights.items() if key not in owned))
        self._sizes = _sizes(self._optimizers)

    def _pairs(self, weights: Iterable[Tensor] | None = None) -> Iterator[_Pair]:
        """Each weight with each of its masks."""
        for weight in self._masks if weights is None else weights:
            for mask in self._masks[weight]:
                yield weight, mask


def _sizes(optimizers: Sequence[Optimizer]) -> list[int]:
    return [len(group["params"]) for optimizer in optimizers for group in optimizer.param_groups]


def gradients_are_read(trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
    """Whether anybody looks at the gradients before the step, or the step mixes them.

    Args:
        trainer: The trainer.
        optimizer: The optimizer that is about to step.

    Returns:
        False only where masking the gradients would change nothing but the moments of dead weights.
    """
    module = trainer.lightning_module
    return (
        bool(trainer.gradient_clip_val)
        or not is_elementwise(optimizer)
        or _overrides(module, "configure_gradient_clipping")
        or _overrides(module, "on_before_optimizer_step")
        or any(_looks(callback) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    )


def _overrides(module: "pl.LightningModule", hook: str) -> bool:
    parent = next((cls for cls in everywhere(pl.LightningModule) if isinstance(module, cls)), None)
    return is_overridden(hook, module, parent)


def _looks(callback: "pl.Callback") -> bool:
    ours = type(callback).__module__.startswith("lightning_prune.callbacks")
    hook = getattr(callback.on_before_optimizer_step, "__func__", None)  # a LambdaCallback has it on the object
    return not ours and hook not in [cls.on_before_optimizer_step for cls in everywhere(pl.Callback)]
