"""Find a way to run a network on an example: the inputs of its ``forward``, or a batch of its data."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_prune.basics.user_error import UserError
from lightning_prune.shrinking.quiet_calls import Call, explained, quiet
from lightning_prune.structures.examples import beside, call_of_forward, forward_arguments


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
    example = beside(module, example)
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


def _ways(module: nn.Module, example: Any) -> Iterator[Call]:
    for arguments in forward_arguments(example):
        yield Call(call_of_forward(module, arguments), arguments)
    for name in ["validation_step"] + ["training_step"] * getattr(module, "automatic_optimization", False):
        step = getattr(module, name, None)
        if step is not None:
            yield Call(partial(step, example, 0))
            yield Call(partial(step, example))
