"""In which ways may a network run on an example: as a batch of its training step, or as inputs of its forward."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from lightning_prune.basics.user_error import UserError

Arguments = tuple[Any, ...] | dict[str, Any]
OF_LIBRARIES = ("lightning.", "pytorch_lightning.")


class Way(NamedTuple):
    """A way to run a network on an example.

    Args:
        method: What runs, ``"training_step"`` or ``"forward"``.
        run: Runs it.
    """

    method: str
    run: Callable[[], Any]


def ways_to_run(module: nn.Module, example: Any) -> Iterator[Way]:
    """List the ways to run a network, the likeliest first.

    A given example is a batch for the ``training_step`` of a LightningModule, unless the module optimizes by hand. Then
    it is the input of ``forward``. Each way is tried with the first sample, and then with all samples: some networks
    take no batch of one.

    Args:
        module: The network.
        example: A tensor, a tuple or list, or a mapping. None: ``example_input_array``, for ``forward``.

    Raises:
        UserError: If there is no example.
    """
    samples = list(_samples(beside(module, _given(module, example))))
    if example is not None and has_training_step(module) and getattr(module, "automatic_optimization", True):
        step: Any = module.training_step
        index = [0] * (len(signature(step).parameters) > 1)
        yield from (Way("training_step", partial(step, sample, *index)) for sample in samples)
    if _is_written(module, "forward"):
        for alike in zip(*map(forward_arguments, samples), strict=True):
            yield from (Way("forward", call_of_forward(module, arguments)) for arguments in alike)


def forward_arguments(example: Any) -> Iterator[Arguments]:
    """The arguments of ``forward`` that an example may stand for: its parts, itself, or its first part.

    Args:
        example: The example.

    Example:
        >>> list(forward_arguments([1, 2]))
        [(1, 2), ([1, 2],), (1,)]
        >>> list(forward_arguments({"x": 1}))
        [{'x': 1}, ({'x': 1},)]
    """
    if isinstance(example, Mapping):
        yield dict(example)
    elif isinstance(example, list | tuple):
        yield tuple(example)
    yield (example,)
    if isinstance(example, list | tuple) and example:
        yield (example[0],)


def call_of_forward(module: nn.Module, arguments: Arguments) -> Callable[[], Any]:
    """A call of a network with arguments by place or by name."""
    return partial(module, **arguments) if isinstance(arguments, dict) else partial(module, *arguments)


def has_training_step(module: nn.Module) -> bool:
    """Whether somebody wrote a ``training_step``: Lightning's own raises an error."""
    return _is_written(module, "training_step")


def _is_written(module: nn.Module, method: str) -> bool:
    found = getattr(type(module), method, None)
    missing = found is nn.Module.forward or str(getattr(found, "__module__", "")).startswith(OF_LIBRARIES)
    return callable(found) and not missing


def _given(module: nn.Module, example: Any) -> Any:
    example = getattr(module, "example_input_array", None) if example is None else example
    if example is None:
        raise UserError(
            f"structures_of({type(module).__name__}) needs an example: give `example=` a batch for training_step "
            "or an input for forward, or set example_input_array."
        )
    return example


def _samples(example: Any) -> Iterator[Any]:
    leaves, spec = tree_flatten(example)
    sizes = [len(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()]
    if sizes and sizes[0] > 1:
        first = [
            leaf[:1] if isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == sizes[0] else leaf for leaf in leaves
        ]
        yield tree_unflatten(first, spec)
    yield example


def beside(module: nn.Module, example: Any) -> Any:
    """Put an example on the device of a network, with its numbers in the network's precision.

    Args:
        module: The network.
        example: Tensors in any nesting.

    Example:
        >>> import torch
        >>> beside(nn.Linear(2, 2).double(), [torch.zeros(1, 2), "cat"])
        [tensor([[0., 0.]], dtype=torch.float64), 'cat']
    """
    first = next((one for one in [*module.parameters(), *module.buffers()] if one.is_floating_point()), None)
    if first is None:
        return example

    def moved(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return one.to(first.device, first.dtype) if one.is_floating_point() else one.to(first.device)

    return tree_map(moved, example)
