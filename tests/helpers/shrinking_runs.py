"""Runs whose cycles train a smaller network, and the masked runs that they have to be equal to."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, seed_everything
from structured import Structured, structured
from torch import Tensor, nn
from toys import Images, fit

from lightning_prune import Geometric, IterativePruning, Shrink, Structures
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.slices import cut_all


def clock(**options: Any) -> IterativePruning:
    """Three cycles of an epoch, each without 30 % of the weights that are left."""
    given = {"cycles": 3, "retrain": "1ep", "sparsity": Geometric(fraction=0.3), "granularity": Structures()}
    return IterativePruning(**{**given, **options})


def trained(
    shrinks: bool,
    beside: Callable[[], list[Callback]] = list,
    optimizer: Any = None,
    network: Callable[[], nn.Module] | None = None,
    pruning: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Structured, IterativePruning, Shrink | None]:
    """Train in double precision: small in every cycle, or masked."""
    seed_everything(0, verbose=False)
    module = structured(optimizer=optimizer, network=None if network is None else network())
    cycles, shrink = clock(**(pruning or {})), Shrink(at="cycles") if shrinks else None
    callbacks = [cycles, *beside(), *([] if shrink is None else [shrink])]
    fit(callbacks, module, Images(shuffle=True), **{"max_epochs": 2, "precision": "64-true", **options})
    return module, cycles, shrink


def distance(small: nn.Module, shrink: Shrink, masked: nn.Module) -> float:
    """The largest difference between a small network and what is left of the masked one, relative to each tensor."""
    left = cut_all(tensors(masked), shrink.shrunk.record.kept)
    assert left.keys() == tensors(small).keys()
    return max(
        float((left[name] - tensor).abs().max() / left[name].abs().max().clamp(min=1e-30))
        for name, tensor in tensors(small).items()
        if tensor.is_floating_point()
    )


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {plain_name(name): tensor.detach() for name, tensor in module.state_dict().items()}


def sizes(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


class SizesSeen(Callback):
    """Notes how many parameters the network has in each batch."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self.seen.append(sizes(pl_module))
        assert all(one.grad is None or one.grad.shape == one.shape for one in pl_module.parameters())
        for optimizer in trainer.optimizers:
            for parameter, state in optimizer.state.items():
                assert all(one.shape in ((), parameter.shape) for one in state.values() if torch.is_tensor(one))
