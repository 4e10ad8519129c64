"""The masks of one network, which keep its dead weights at zero in a training loop of one's own."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_prune.basics.saved_state import find_mistake
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.masks.masks import pruned_of
from lightning_prune.masks.multiply import multiply_
from lightning_prune.masks.optimizer_state import owned_by
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.masks.ticket import Ticket, write_ticket
from lightning_prune.selection.parameters import identity
from lightning_prune.selection.sharding import placed, whole

_FORMAT = 1


class NetworkMasks(Mapping[str, Tensor]):
    """The masks of a network by the names of its weights: boolean tensors, true where a weight is alive.

    :func:`~lightning_prune.prune` makes them, and returns the same object each time for the same network.

    Args:
        weights: The prunable weights by name.

    Example:
        >>> import lightning_prune as lp
        >>> layer = torch.nn.Linear(4, 5)
        >>> masks = lp.prune(layer, sparsity=0.8)
        >>> masks
        NetworkMasks(80.0 % of 20 weights pruned in 1 tensor)
        >>> optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
        >>> masks.hold(optimizer)
        >>> layer(torch.ones(1, 4)).sum().backward()
        >>> optimizer.step()
        >>> int((layer.weight == 0).sum())
        16
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.prunes = 0
        self._weights = dict(weights)
        self._masks: dict[str, Tensor] = {}
        self._optimizers: list[Optimizer] = []
        self._hold = Hold({})
        self._handles: list[RemovableHandle] = []

    def __getitem__(self, name: str) -> Tensor:
        weight, mask = self._weights[name], self._masks.get(name)
        if mask is None:
            return torch.ones(weight.shape, dtype=torch.bool, device=weight.device)
        return whole(mask).bool()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        tensors = f"{len(self)} tensor{'s' * (len(self) != 1)}"
        held = "".join(f", held in {type(one).__name__}" for one in self._optimizers)
        return f"NetworkMasks({pruned_of(self.alive, self.size)} in {tensors}{held})"

    @property
    def size(self) -> int:
        """The number of prunable weights."""
        return sum(weight.numel() for weight in self._weights.values())

    @property
    def alive(self) -> int:
        """The number of living weights."""
        dead = sum(mask.numel() - int(torch.count_nonzero(whole(mask))) for mask in self._masks.values())
        return self.size - dead

    @property
    def sparsity(self) -> float:
        """The fraction of the prunable weights that is dead, in [0, 1)."""
        return 1 - self.alive / self.size if self.size else 0.0

    def hold(self, optimizer: Optimizer) -> None:
        """Keep dead weights at zero, and their moments in the optimizer, whatever it does from now on.

        Gradients of dead weights are set to zero as soon as they are computed, so that a norm that you clip by counts
        living weights only. Works with several parameter groups, fused steps and a ``GradScaler``. The hooks are no
        part of the optimizer's state: call this again in another process, before or after ``load_state_dict``.

        Args:
            optimizer: The optimizer that trains the network. Call this for each optimizer if there are several.

        Raises:
            ValueError: If the optimizer trains none of the pruned weights.
        """
        held = {identity(one) for one in owned_by(optimizer)}
        if not any(identity(weight) in held for weight in self._weights.values()):
            raise UserError(
                f"{type(self).__name__}.hold({type(optimizer).__name__}) was given an optimizer of other weights: make "
                "it of the parameters of the module that was pruned, and not of a copy."
            )
        if not any(one is optimizer for one in self._optimizers):
            self._optimizers.append(optimizer)
        self._hold_again()

    def apply_(self) -> None:
        """Set the dead weights to zero, for example after a checkpoint of the dense network was loaded."""
        self._follow_devices()
        multiply_((self._weights[name], mask) for name, mask in self._masks.items())

    def release(self) -> None:
        """Let the weights go: take away all hooks. The weights keep their zeros until they are trained."""
        self._optimizers = []
        self._take_away()

    def state_dict(self) -> dict[str, Any]:
        """The masks at one bit per weight, as plain values and tensors on the CPU, for your own checkpoint.

        :func:`~lightning_prune.load_masks` gives them to a network again.
        """
        return {
            "format": _FORMAT,
            "prunes": self.prunes,
            "shapes": {name: list(weight.shape) for name, weight in self._weights.items()},
            "masks": self.packed(),
        }

    def save_ticket(self, path: str | Path) -> None:
        """Write the masks into a file, which ``load_ticket`` and ``IterativePruning(initial_masks=...)`` read.

        Args:
            path: The file, such as ``"ticket.safetensors"``.
        """
        masks = {name: self[name].cpu() for name in self._masks}
        header = {
            "cycle": self.prunes,
            "sparsity": self.sparsity,
            "alive": {name: int(torch.count_nonzero(mask)) for name, mask in self.items()},
            "rewind_point": None,
            "metrics": {},
            "settings": {},
            "cycles": [],
        }
        write_ticket(path, Ticket(masks, {}, header))

    def packed(self) -> dict[str, Tensor]:
        """The masks of the tensors with dead weights, at one bit per weight."""
        return {name: pack_bits(whole(mask)) for name, mask in self._masks.items()}

    def take_(self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        """Take other masks, apply them, and hold by them. Tensors that are not named keep theirs.

        Args:
            weights: The prunable weights by name.
            masks: The masks by name (uint8, 1 where alive), of the shapes of the weights. A missing one is all alive.
        """
        self._weights |= weights
        self._masks = {name: mask for name, mask in self._masks.items() if name not in weights} | dict(masks)
        self.apply_()
        self._hold_again()

    def _hold_again(self) -> None:
        self._take_away()
        if not self._optimizers:
            return
        self._follow_devices()
        self._hold = Hold(self._weights, self._optimizers)
        self._hold.use(self._masks)
        self._hold.treat_(self._optimizers, "mask")
        self._handles += [one.register_step_pre_hook(self._before_step) for one in self._optimizers]
        for name in self._masks:
            weight = self._weights[name]
            if weight.requires_grad and weight.is_leaf:
                hook = partial(self._mask_gradient, name)
                self._handles.append(weight.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]

    def _take_away(self) -> None:
        self._hold.remove()
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _before_step(self, *_: object) -> None:
        if self._follow_devices():
            self._hold.use(self._masks)
            self._hold.treat_(self._optimizers, "mask")
        self._hold.mask_gradients_()  # once more: a gradient may have been written by hand, or by DDP

    def _mask_gradient(self, name: str, weight: Tensor) -> None:
        if self._masks[name].device != weight.device:
            self._follow_devices()
        if weight.grad is not None:
            multiply_([(weight.grad, self._masks[name])])

    def _follow_devices(self) -> bool:
        """Move the masks to where the weights are. Whether one has moved."""
        away = {name: mask for name, mask in self._masks.items() if mask.device != self._weights[name].device}
        for name, mask in away.items():
            self._masks[name] = mask.to(self._weights[name].device)
        return bool(away)


def masks_in(state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Read the state of :meth:`NetworkMasks.state_dict` for a network.

    Args:
        state: The state.
        weights: All parameters of the network by name.

    Returns:
        The prunable weights, and the masks of those with dead weights, by name.

    Raises:
        ValueError: If the state is of another network, or no such state.
    """
    form = {"format": int, "prunes": int, "shapes": {str: [int]}, "masks": {str: Tensor}}
    if wrong := find_mistake(state, form, ""):
        raise UserError(f"load_masks(...) is no state of masks: {wrong}. Give masks.state_dict(), or a ticket.")
    shapes = {name: torch.Size(shape) for name, shape in state["shapes"].items()}
    refuse_other_network(shapes, weights)
    if unknown := [name for name in state["masks"] if name not in shapes]:
        raise UserError(f"load_masks(...) has masks without a shape: {', '.join(unknown)}. It has changed since.")
    chosen = {name: weights[name] for name in shapes}
    return chosen, {name: mask_for(chosen[name], bits) for name, bits in state["masks"].items()}


def mask_for(weight: Tensor, bits: Tensor) -> Tensor:
    """Unpack a mask, and place it as its weight is.

    Args:
        weight: The weight.
        bits: The mask at one bit per weight.
    """
    return placed(unpack_bits(bits, weight.shape).to(weight.device), weight)


def refuse_other_network(shapes: Mapping[str, torch.Size], weights: Mapping[str, Tensor]) -> None:
    """Refuse masks of another network.

    Args:
        shapes: The shapes of the masks by name.
        weights: All parameters of the network by name.

    Raises:
        ValueError: If the network has no parameter of such a name and shape.
    """
    wrong = [name for name, shape in shapes.items() if name not in weights or weights[name].shape != shape]
    if wrong:
        raise UserError(
            f"load_masks(...) has masks of another network: this one has no, or another shape of, {', '.join(wrong)}."
        )
