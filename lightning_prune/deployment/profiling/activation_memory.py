"""Count the memory that activations need at most at one time in a computation."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import ref

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def activation_memory(run: Callable[[], object]) -> int:
    """Count the most bytes that tensors need at one time which a computation makes.

    What exists before, such as weights and inputs, does not count. Neither does the memory that a kernel needs inside
    itself. The number is exact: it follows from the order in which the code makes tensors and drops them.

    Args:
        run: The computation, such as a forward pass without gradients.

    Returns:
        The number of bytes.

    Example:
        >>> import torch
        >>> x, layer = torch.ones(2, 8), torch.nn.Linear(8, 16)
        >>> with torch.no_grad():
        ...     activation_memory(lambda: layer(x)), activation_memory(lambda: layer(x).relu())
        (128, 256)
    """
    counter = _Counter()
    with counter:
        run()
    return counter.most


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that operations make, until nobody holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._living: dict[int, Any] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {_key(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, Tensor) and _key(one) not in given:
                self._add(one)
        return found

    def _add(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._living:
            return
        size = storage.nbytes()
        self._living[key] = ref(storage, partial(self._drop, key, size))
        self.now += size
        self.most = max(self.most, self.now)

    def _drop(self, key: int, size: int, _: Any) -> None:
        del self._living[key]
        self.now -= size


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
