"""Remember the network as it was before its first prune."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import placed, reshard, whole


class DenseCopy:
    """The parameters and buffers of the dense network, in CPU memory.

    Attributes:
        tensors: The tensors by name. Empty before they are taken.

    Example:
        >>> layer, copy = nn.Linear(2, 1), DenseCopy()
        >>> copy.take(layer)
        >>> _ = nn.init.zeros_(layer.weight)
        >>> with copy.put_into(layer):
        ...     bool(layer.weight.any())
        True
        >>> bool(layer.weight.any())
        False
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def take(self, module: nn.Module) -> None:
        """Take the network as it is now.

        Args:
            module: The network.
        """
        reshard(module)
        self.tensors = {name: whole(one).detach().cpu().clone() for name, one in _tensors(module).items()}

    @contextmanager
    def put_into(self, module: nn.Module) -> Iterator[None]:
        """Let a network be the dense one for a while.

        Args:
            module: The network that was taken, of the same shapes. Its parameters and buffers are put back.
        """
        present = {name: one for name, one in _tensors(module).items() if name in self.tensors}
        kept = {name: one.detach().clone() for name, one in present.items()}
        with torch.no_grad():
            for name, one in present.items():
                one.copy_(placed(self.tensors[name], one))
        try:
            yield
        finally:
            with torch.no_grad():
                for name, one in present.items():
                    one.copy_(kept[name])

    def state_dict(self) -> dict[str, Any]:
        """The tensors."""
        return {"dense": self.tensors}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the tensors of a saved state."""
        self.tensors = dict(state["dense"])


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {plain_name(name): one for name, one in [*module.named_parameters(), *module.named_buffers()]}
