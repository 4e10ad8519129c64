"""Put back the tensors that torch rounds when it loads the state of an optimizer.

torch converts every floating-point tensor of the state, except ``step``, to the type of its weight. Some tensors have
another type on purpose: the products of momenta of ``NAdam`` and the rates of ``ASGD``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_prune.selection.sharding import is_sharded


class Unrounded:
    """The tensors of optimizers whose type may not be that of their weights.

    Args:
        checkpoint: The checkpoint that a fit resumes from.
        module: The module, for the types of its weights.
    """

    def __init__(self, checkpoint: Mapping[str, Any], module: nn.Module) -> None:
        saved = checkpoint.get("current_model_state", checkpoint.get("state_dict", {}))
        names = [name for name, _ in module.named_parameters() if name in saved]
        self._weights = {saved[name].dtype for name in names}
        self._states = [self._of_another_type(state) for state in checkpoint.get("optimizer_states", ())]

    def put_back_(self, optimizers: Sequence[Optimizer]) -> None:
        """Put the tensors back if the weights have the types that they had. Otherwise torch has converted both."""
        for optimizer, found in zip(optimizers, self._states, strict=False):
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            for index, name, value in found:
                state = optimizer.state[parameters[index]]
                if parameters[index].dtype in self._weights and not is_sharded(parameters[index]):
                    state[name] = value.to(state[name].device)

    def _of_another_type(self, state: Mapping[str, Any]) -> list[tuple[int, str, Tensor]]:
        """By the place of the parameter."""
        order = [one for group in state.get("param_groups", ()) for one in group["params"]]
        places = {one: place for place, one in enumerate(order)}
        tensors = _tensors(state.get("state", {}))
        return [(places[one], name, value) for one, name, value in tensors if self._is_kept(name, value)]

    def _is_kept(self, name: str, value: Tensor) -> bool:
        is_own = value.numel() == 1 or value.dtype not in self._weights
        return name != "step" and value.is_floating_point() and is_own


def _tensors(state: Mapping[Any, Any]) -> Iterator[tuple[Any, str, Tensor]]:
    for one, held in state.items():
        for name, value in held.items() if isinstance(held, Mapping) else ():
            if isinstance(value, torch.Tensor):
                yield one, name, value
