"""Find a way to run a network on an example: the inputs of its ``forward``, or a batch of its data."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.quiet_calls import Call, explained, quiet
from lightning_prune.structures.find import structures_of
from lightning_prune.structures.groups import FoundStructures


def call_on(module: nn.Module, example: Any, asker: str) -> Call:
    """Find the first way in which a network runs on an example.

    The ways are, in this order: ``forward`` with the example as its arguments, ``forward`` with the whole example,
    ``forward`` with the first part of it, and ``validation_step`` and ``training_step`` of a LightningModule. A module
    that optimizes by hand is not asked for its ``training_step``, which would step.

    Args:
        module: The network.
        example: A tensor, a tuple or list, or a mapping. None: ``example_input_array`` of the module.
        asker: The call that asks, for errors.

    Returns:
        A function without arguments that runs the network.

    Raises:
        ValueError: If there is no example, or the network does not run on it.

    Example:
        >>> import torch
        >>> layer = nn.Linear(2, 3)
        >>> call_on(layer, [torch.zeros(5, 2), torch.zeros(5)], "shrink(...)")().shape
        torch.Size([5, 3])
    """
    example = getattr(module, "example_input_array", None) if example is None else example
    if example is None:
        raise UserError(
            f"{asker} needs an example to run {type(module).__name__} on: give example=<a batch, or the inputs of "
            "forward>, or set example_input_array in the module."
        )
    example = _beside(module, example)
    failures = []
    for call in _ways(module, example):
        try:
            with quiet(module, call, training=False):
                found = call()
        except Exception as error:  # another way may be the right one
            failures.append(explained(error))
            continue
        if any(isinstance(one, Tensor) for one in tree_leaves(found)):
            return call
    raise UserError(
        f"{asker} cannot run {type(module).__name__} on the example. Give the inputs of its forward, or a batch that "
        f"its validation_step takes. What failed: {'; '.join(dict.fromkeys(failures)) or 'it returns no tensor'}."
    )


def structures_from(module: nn.Module, example: Any, call: Call) -> FoundStructures:
    """Find the groups of a network from the way in which it runs on an example.

    A LightningModule is traced through its ``training_step``, which may use more of it than ``forward``. Where this
    step does not run on the example, or would step optimizers by hand, it is traced through ``forward``.

    Args:
        module: The network.
        example: The example, as :func:`call_on` was given it.
        call: The way that :func:`call_on` found.

    Raises:
        ValueError: If the network cannot be traced.
    """
    step = getattr(module, "training_step", None)
    by_hand = not getattr(module, "automatic_optimization", True)
    if call.inputs is None:
        return structures_of(module, _beside(module, example))
    if step is not None and not by_hand and example is not None:
        with suppress(ValueError):
            return structures_of(module, _beside(module, example))
    before: Any = getattr(module, "example_input_array", None)
    setattr(module, "example_input_array", call.inputs)  # noqa: B010 - most modules have no such attribute
    try:
        return structures_of(module)
    finally:
        setattr(module, "example_input_array", before)  # noqa: B010


def _ways(module: nn.Module, example: Any) -> Iterator[Call]:
    inputs: list[tuple[Any, ...] | dict[str, Any]] = [(example,)]
    if isinstance(example, Mapping):
        inputs = [dict(example), (example,)]
    elif isinstance(example, list | tuple):
        inputs = [tuple(example), (example,), *([(example[0],)] if example else [])]
    for one in inputs:
        yield Call(partial(module, **one) if isinstance(one, dict) else partial(module, *one), one)
    for name in ["validation_step"] + ["training_step"] * getattr(module, "automatic_optimization", False):
        step = getattr(module, name, None)
        if step is not None:
            yield Call(partial(step, example, 0))
            yield Call(partial(step, example))


def _beside(module: nn.Module, example: Any) -> Any:
    """The example on the device of the network, with its numbers in the network's precision."""
    first = next((one for one in [*module.parameters(), *module.buffers()] if one.is_floating_point()), None)
    if first is None:
        return example

    def moved(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return one.to(first.device, first.dtype) if one.is_floating_point() else one.to(first.device)

    return tree_map(moved, example)
