"""Keep dead weights dead by hooks around the optimizers' steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune.callbacks.masking.gradient_readers import GradientReaders
from lightning_prune.masks.factors import Factors, as_factors, product
from lightning_prune.masks.first_buffers import guard_first_buffers
from lightning_prune.masks.multiply import Multiplier
from lightning_prune.masks.optimizer_state import has_skipped, mask_moments_, owned_by, reset_
from lightning_prune.selection.parameters import identity
from lightning_prune.selection.sharding import is_sharded, whole
from lightning_prune.shrinking.slices import Cut, cut

_parameters = itemgetter("params")  # of a group of an optimizer


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
        self._owned: dict[int, Multiplier] = {}
        self._unowned: tuple[Multiplier, ...] = ()  # empty where the optimizers own all: most often
        self._sizes: dict[int, list[int]] = {}
        self.readers = GradientReaders()

        def after_step(
            given: Optimizer, stepping: Optimizer, *_: object
        ) -> None:  # Fabric's wrapper, and what it wraps
            if self._masks:
                self._of(given).apply_()
            if not has_skipped(stepping):
                for tell in stepped:
                    tell()

        self._handles = [one.register_step_post_hook(partial(after_step, one)) for one in optimizers]
        self._handles += [handle for optimizer in optimizers for handle in guard_first_buffers(optimizer)]

    @property
    def is_on(self) -> bool:
        """Whether dead weights are kept at zero. False after the fit."""
        return bool(self._handles)

    @property
    def has_masks(self) -> bool:
        """Whether there are dead weights to hold at zero."""
        return bool(self._masks)

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

    def use(self, masks: Mapping[str, Tensor | Factors], at_once: bool = True) -> None:
        """Hold by these masks from now on, by name.

        Args:
            masks: A mask for each weight that is not all alive, or several that can be broadcast to its shape.
            at_once: Whether they are applied now. If not, they are applied after the next step of each optimizer.
        """
        self._masks = {self.weights[name]: as_factors(mask) for name, mask in masks.items()}
        self._share_out()
        if at_once:
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
        for multiplier in self._all:
            multiplier.apply_()

    def finish_batch_(self, steps_are_seen: bool = True) -> None:
        """Mask the weights that no optimizer owns, between two batches.

        Args:
            steps_are_seen: Whether every step is a step of the given optimizers. An optimizer inside another optimizer
                steps unseen. Then all weights are masked.
        """
        for multiplier in self._unowned if steps_are_seen else self._all:
            multiplier.apply_()

    def mask_gradients_(self) -> None:
        """Mask the gradients, so that norms count living weights only."""
        for multiplier in self._all:
            multiplier.apply_to_gradients_()

    def treat_(self, optimizers: list[Optimizer], treatment: str) -> None:
        """Treat the state of the optimizers at a prune: ``"mask"``, ``"reset"`` or ``"keep"``."""
        for optimizer in optimizers:
            if treatment == "mask":
                for place in range(max(map(len, self._masks.values()), default=0)):
                    mask_moments_(optimizer, {w: one[place] for w, one in self._masks.items() if place < len(one)})
            elif treatment == "reset":
                reset_(optimizer)

    @property
    def _all(self) -> Iterable[Multiplier]:
        return *self._owned.values(), *self._unowned

    def _of(self, optimizer: Optimizer) -> Multiplier:
        """What an optimizer owns of the masked weights."""
        if self._sizes[id(optimizer)] != _sizes(optimizer):  # a callback has unfrozen something
            self._share_out()
        return self._owned[id(optimizer)]

    def _share_out(self) -> None:
        """Find out which masked weights each optimizer owns: once a prune, since it takes longer than a step."""
        keys, owned = {weight: identity(weight) for weight in self._masks}, set()
        for optimizer in self._optimizers:
            mine = {identity(one) for one in owned_by(optimizer)}
            self._owned[id(optimizer)] = self._multiplier(one for one, key in keys.items() if key in mine)
            self._sizes[id(optimizer)] = _sizes(optimizer)
            owned |= mine
        unowned = [one for one, key in keys.items() if key not in owned]
        self._unowned = (self._multiplier(unowned),) if unowned else ()

    def _multiplier(self, weights: Iterable[Tensor]) -> Multiplier:
        """Weights with each of their masks."""
        return Multiplier((weight, mask) for weight in weights for mask in self._masks[weight])


def _sizes(optimizer: Optimizer) -> list[int]:
    return [*map(len, map(_parameters, optimizer.param_groups))]
