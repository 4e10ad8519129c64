"""Refuse fits whose weights cannot become smaller while they are trained, and say what changes in others."""

import gc
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import clock_of
from lightning_prune.masks.optimizer_state import is_elementwise
from lightning_prune.selection.parameters import identity, plain_name
from lightning_prune.selection.sharding import is_sharded

_AT_END = "Give Shrink(at='end')."
_DIVIDED = ("ZeroRedundancyOptimizer", "PostLocalSGDOptimizer")  # they keep lists of sizes of their own


def refuse_fit(trainer: "pl.Trainer", module: "pl.LightningModule", asker: str) -> None:
    """Refuse a fit whose network cannot become smaller while it is trained.

    Args:
        trainer: The trainer, when training starts.
        module: Its module.
        asker: The callback as it is written, for errors.

    Raises:
        ValueError: If there is no ``IterativePruning``, weights are split over devices or share memory, or an optimizer
            keeps one state for all weights.
    """
    if clock_of(trainer.callbacks) is None:  # type: ignore[attr-defined]
        raise UserError(f"{asker} needs cycles, and there is no IterativePruning among the callbacks. {_AT_END}")
    if any(map(is_sharded, module.parameters())):
        raise UserError(
            f"{asker} cannot remove parts of weights that {type(trainer.strategy).__name__} splits over several "
            "devices, and at='end' cannot either. Leave it out, save one file (ModelParallelStrategy("
            "save_distributed_checkpoint=False)), and shrink it later in a single process: shrink(module, "
            "checkpoint='last.ckpt', example=batch)."
        )
    _refuse_optimizers(trainer.optimizers, asker)
    _refuse_shared_memory(module, asker)


def warn_of_mixing(optimizers: Sequence[Optimizer], asker: str) -> None:
    """Say that optimizers come to other weights on the small network than on the masked one.

    Args:
        optimizers: The optimizers of the fit.
        asker: The callback as it is written.
    """
    mixing = sorted({type(one).__name__ for one in optimizers if not is_elementwise(one)})
    if mixing:
        rank_zero_warn(
            f"{asker} changes this run: {' and '.join(mixing)} may mix the gradients of several weights, and then its "
            "steps depend on the size of the network. The run is a valid one, but not equal to the masked run. Give "
            "Shrink(at='end') for that one."
        )


def refuse_live_graphs(module: nn.Module, asker: str) -> None:
    """Refuse to train on if something keeps the graph of an earlier loss, because its sizes are those from before.

    Args:
        module: The network, right after its parameters have changed their sizes.
        asker: The callback as it is written, for errors.

    Raises:
        ValueError: If a parameter is in such a graph. The error names the parameter.
    """
    stale = _in_old_graphs(module)
    if stale:
        gc.collect()  # a graph in a reference cycle is dead, and waits to be collected
        stale = _in_old_graphs(module)
    if stale:
        raise UserError(
            f"{asker} cannot change the size of {stale[0]}: something keeps the graph of an earlier loss alive. Keep "
            f"numbers and not losses, with loss.detach() or loss.item(). Or leave the sizes alone until the fit is "
            f"over. {_AT_END}"
        )


def _in_old_graphs(module: nn.Module) -> list[str]:
    named = module.named_parameters()
    return [plain_name(name) for name, one in named if one.requires_grad and _shape_in_graph(one) != one.shape]


def _shape_in_graph(parameter: Tensor) -> object:
    """The shape of the gradient that autograd expects. It is that from before while an old graph is alive."""
    with torch.enable_grad():
        node: Any = parameter.expand_as(parameter).grad_fn
    (expected,) = node.next_functions[0][0]._input_metadata
    return torch.Size(expected.shape)


def _refuse_optimizers(optimizers: Sequence[Optimizer], asker: str) -> None:
    for optimizer in optimizers:
        kinds = {kind.__name__ for kind in type(optimizer).__mro__}
        if isinstance(optimizer, LBFGS) or kinds.intersection(_DIVIDED):
            raise UserError(
                f"{asker} cannot go on with {type(optimizer).__name__}, which keeps one state for all weights "
                f"together. {_AT_END}"
            )


def _refuse_shared_memory(module: nn.Module, asker: str) -> None:
    seen: dict[object, str] = {}
    for name, parameter in module.named_parameters():
        other = seen.setdefault(identity(parameter), name)
        if other != name:
            raise UserError(
                f"{asker} cannot cut {plain_name(name)} and {plain_name(other)}, which are two parameters in one "
                f"memory: they would be apart afterwards. Tie them by one parameter with two names. {_AT_END}"
            )
