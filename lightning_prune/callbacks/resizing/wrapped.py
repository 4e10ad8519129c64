"""Take the wrapper of a strategy and compiled code off a network that changes its sizes, and put them on again."""

import gc
from collections.abc import Callable
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def unwrap_(trainer: "pl.Trainer") -> Callable[[], None]:
    """Take the module of a fit out of ``DistributedDataParallel``, whose buckets have the sizes from before.

    Args:
        trainer: The trainer.

    Returns:
        A function that wraps the module again, by its new sizes. It does nothing if the module was not wrapped.
    """
    strategy = cast(Any, trainer.strategy)
    if not isinstance(strategy.model, DistributedDataParallel):
        return _nothing
    strategy.model = trainer.lightning_module
    gc.collect()  # the wrapper takes its hooks along when it goes

    def wrap() -> None:
        strategy._pl_static_graph_delay_done = False
        given = strategy._ddp_kwargs
        strategy._ddp_kwargs = {**given, "init_sync": False}  # the processes agree, and keep buffers of their own
        strategy.configure_ddp()
        strategy._ddp_kwargs = given

    return wrap


def is_compiled(module: nn.Module) -> bool:
    """Whether ``torch.compile`` was called on a module or on a part of it.

    Example:
        >>> is_compiled(nn.Linear(2, 2)), is_compiled(nn.Sequential(torch.compile(nn.Linear(2, 2))))
        (False, True)
    """
    if getattr(module, "_compiler_ctx", None) is not None:  # of Lightning
        return True
    return any(hasattr(one, "_orig_mod") or one._compiled_call_impl is not None for one in module.modules())


def compile_again(module: nn.Module, say: bool) -> None:
    """Forget what was compiled for other sizes: torch gives up after eight of them.

    Args:
        module: The network.
        say: Whether to say that it is compiled again.
    """
    if not is_compiled(module):
        return
    torch.compiler.reset()
    if say:
        rank_zero_info("The network has become smaller: torch.compile compiles it again, once in every such cycle.")


def _nothing() -> None:
    """There is nothing to undo."""
