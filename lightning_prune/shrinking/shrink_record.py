"""The record of a removal: which network it was, what stays of each tensor, and the attributes that changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.attributes import find_other_attribute, set_attributes_
from lightning_prune.shrinking.slices import Cut, cut_module_, tensors_of

_HELD = "_shrink_record"  # the attribute of a small network that holds its record


@dataclass(frozen=True)
class ShrinkRecord:
    """What was removed from a network. It holds plain values and tensors, and no code.

    Args:
        shapes: The fingerprint of the whole network: the shapes of all parameters and buffers by name.
        kept: By tensor and dimension, the indices that stay, int64. What is missing stays whole.
        attributes: The new values of module attributes, by module and name.
        alive: The living units of each group that has removed ones, uint8, in the numbering of the whole network.
        masked: The groups that are masked and not removed, with the reason.
    """

    shapes: Mapping[str, tuple[int, ...]]
    kept: Mapping[str, Cut] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alive: Mapping[str, Tensor] = field(default_factory=dict)
    masked: Mapping[str, str] = field(default_factory=dict)

    def small_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the small network.

        Example:
            >>> ShrinkRecord({"weight": (4, 2)}, {"weight": {0: torch.tensor([0, 3])}}).small_shapes()
            {'weight': (2, 2)}
        """
        kept = {name: {dim: len(one) for dim, one in by.items()} for name, by in self.kept.items()}
        return {
            name: tuple(kept.get(name, {}).get(dim, size) for dim, size in enumerate(shape))
            for name, shape in self.shapes.items()
        }

    def apply_(self, module: nn.Module, asker: str = "ShrinkRecord.apply_") -> None:
        """Make a network small in the same way, without looking at its weights.

        Args:
            module: The whole network, such as a new one of the same class and arguments.
            asker: The call that asks, for errors.

        Raises:
            ValueError: If it is another network. After this error it has not changed.
        """
        refuse_other_network(module, self.shapes, asker)
        wrong = find_other_attribute(module, self.attributes)
        if wrong is not None:
            raise UserError(f"{asker} is of another network: this {type(module).__name__} has no {wrong}.")
        cut_module_(module, self.kept)
        set_attributes_(module, self.attributes)

    def after(self, first: "ShrinkRecord") -> "ShrinkRecord":
        """This record, told from the network that an earlier one began with.

        Args:
            first: The record of the network that this one began with.

        Example:
            >>> first = ShrinkRecord({"weight": (4,)}, {"weight": {0: torch.tensor([0, 2, 3])}})
            >>> second = ShrinkRecord({"weight": (3,)}, {"weight": {0: torch.tensor([1, 2])}})
            >>> second.after(first).kept
            {'weight': {0: tensor([2, 3])}}
        """
        kept = {name: dict(by) for name, by in first.kept.items()}
        for name, by in self.kept.items():
            for dim, indices in by.items():
                before = kept.setdefault(name, {}).get(dim)
                kept[name][dim] = indices if before is None else before[indices]
        attributes = {name: dict(values) for name, values in first.attributes.items()}
        for name, values in self.attributes.items():
            attributes.setdefault(name, {}).update(values)
        alive = dict(first.alive)
        for name, one in self.alive.items():
            before = alive.get(name)
            alive[name] = one if before is None else _placed(one, before)
        return ShrinkRecord(first.shapes, kept, attributes, alive, self.masked)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters and buffers by name, by which networks are told apart.

    Example:
        >>> shapes_of(nn.Linear(2, 3))
        {'weight': (3, 2), 'bias': (3,)}
    """
    return {name: tuple(tensor.shape) for name, tensor in tensors_of(module).items()}


def find_wrong_indices(record: ShrinkRecord) -> str | None:
    """Find the first indices of a record that cannot be those of a cut. The record may come from a damaged file.

    Args:
        record: The record.

    Returns:
        The tensor, and what is wrong with it. None if all can be.

    Example:
        >>> find_wrong_indices(ShrinkRecord({"weight": (4,)}, {"weight": {0: torch.tensor([0, 4])}}))
        "'weight' has indices that are no part of its dimension 0"
    """
    for name, by in record.kept.items():
        shape = record.shapes.get(name)
        if shape is None:
            return f"{name!r} is cut, and has no shape"
        for dim, one in by.items():
            whole = 0 <= dim < len(shape) and one.dim() == 1 and one.dtype in (torch.int32, torch.int64)
            listed = one.tolist() if whole else []
            if not whole or len(set(listed)) < len(listed) or any(not 0 <= index < shape[dim] for index in listed):
                return f"{name!r} has indices that are no part of its dimension {dim}"
    return None


def hold(module: nn.Module, record: ShrinkRecord) -> None:
    """Keep the record with the small network, so that a second removal can go on from it."""
    module.__dict__[_HELD] = record


def held_by(module: nn.Module) -> ShrinkRecord | None:
    """The record of a network that is small. None if nothing was removed from it, or if it has changed since."""
    record = module.__dict__.get(_HELD)
    return record if isinstance(record, ShrinkRecord) and record.small_shapes() == shapes_of(module) else None


def forget(module: nn.Module) -> None:
    """Forget the record of a network, because it is whole again."""
    module.__dict__.pop(_HELD, None)


def refuse_other_network(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], asker: str) -> None:
    """Refuse a network with other names or shapes.

    Args:
        module: The network.
        shapes: The expected shapes by name.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If a name or a shape differs. The first ones are named.
    """
    own = shapes_of(module)
    wrong = [
        f"{name} is {_said(own.get(name))} here and {_said(shapes.get(name))} there"
        for name in dict.fromkeys([*own, *shapes])
        if own.get(name) != shapes.get(name)
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(
            f"{asker} is of another network than this {type(module).__name__}: {'; '.join(wrong[:3])}{more}. Give a "
            "whole network, made as the one that was shrunk."
        )


def _said(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


def _placed(alive: Tensor, before: Tensor) -> Tensor:
    """The living units of a group of which some were dead before, in the numbering from before."""
    placed = torch.zeros_like(before)
    placed[before.bool()] = alive.to(before.dtype)
    return placed
