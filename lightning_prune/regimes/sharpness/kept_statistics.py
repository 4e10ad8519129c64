"""Let the second forward pass of a step leave the running statistics of BatchNorm alone."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook


@contextmanager
def statistics_kept(networks: Iterable[nn.Module] = ()) -> Iterator[None]:
    """Keep the running statistics of BatchNorm layers. They still normalize by their batch.

    Args:
        networks: The networks that run inside. If none is known, a hook finds each layer when it runs. Compiled code
            skips such hooks.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(2)
        >>> with statistics_kept():
        ...     _ = norm(torch.rand(4, 2))
        >>> norm.num_batches_tracked, norm.track_running_stats
        (tensor(0), True)
    """
    stopped: list[_BatchNorm] = []

    def stop(layer: nn.Module, *_: Any) -> None:
        if isinstance(layer, _BatchNorm) and layer.training and layer.track_running_stats:
            layer.track_running_stats = False
            stopped.append(layer)

    layers = [layer for network in networks for layer in network.modules()]
    for layer in layers:
        stop(layer)
    handle = None if layers else register_module_forward_pre_hook(stop)
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()
        for one in stopped:
            one.track_running_stats = True


def networks_of(closure: Callable[[], Any]) -> list[nn.Module]:
    """The networks that a closure is bound to. Lightning binds its closures to the LightningModule.

    Args:
        closure: What an optimizer was given.

    Example:
        >>> from functools import partial
        >>> networks_of(partial(print, nn.Identity(), 1)), networks_of(print)
        ([Identity()], [])
    """
    return [one for one in getattr(closure, "args", ()) if isinstance(one, nn.Module)]
