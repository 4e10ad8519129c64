"""Find which layers depend on the width of a group: those whose operations see other shapes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Shapes = dict[str, list[tuple[int, ...]]]


def shapes_in_layers(module: nn.Module, call: Callable[[], object]) -> Shapes:
    """List the shapes of all tensors that the operations of each layer read and make.

    Args:
        module: The network.
        call: Runs it.

    Returns:
        The shapes by the name of the layer, without those of the layers that it calls.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> with torch.no_grad():
        ...     shapes_in_layers(network, lambda: network(torch.ones(1, 2)))["1"]
        [(1, 3), (1, 3)]
    """
    watch = _Watch()
    with _named(module, watch.open), watch:
        call()
    return watch.shapes


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the shapes of the operations in the layer that is running."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.open: list[str] = []
        self.shapes: Shapes = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if self.open:
            tensors = [one for one in tree_leaves((args, kwargs, found)) if isinstance(one, Tensor)]
            self.shapes.setdefault(self.open[-1], []).extend(tuple(one.shape) for one in tensors)
        return found


@contextmanager
def _named(module: nn.Module, running: list[str]) -> Iterator[None]:
    """Keep the names of the layers that are running in a list."""
    handles = []
    for name, layer in module.named_modules():
        handles.append(layer.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        handles.append(layer.register_forward_hook(lambda *_: _drop_last(running)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _drop_last(running: list[str]) -> None:
    running.pop()
