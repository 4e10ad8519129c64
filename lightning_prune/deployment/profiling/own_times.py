"""Measure where the time of a forward pass goes: the time of each layer, without the layers that it calls."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from lightning_prune.deployment.profiling.turns import Clock


class OwnTimes:
    """The times of layers in the passes of one network.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._open: list[list[float]] = []  # for each running layer, its start and the time of the layers in it
        self._pass: dict[str, float] = {}
        self.fastest: dict[str, float] = {}

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Watch the layers of a network inside this context."""
        handles = []
        for name, layer in module.named_modules():
            handles += [layer.register_forward_pre_hook(self._enter), layer.register_forward_hook(self._left(name))]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def measure(self, call: Callable[[], object]) -> None:
        """Run a pass, and keep the shortest time of each layer."""
        self._pass = {}
        self._open = []
        call()
        for name, seconds in self._pass.items():
            self.fastest[name] = min(seconds, self.fastest.get(name, seconds))

    def _enter(self, *_: Any) -> None:
        self._open.append([self._clock(), 0.0])

    def _left(self, name: str) -> Callable[..., None]:
        def leave(*_: Any) -> None:
            start, inside = self._open.pop()
            whole = self._clock() - start
            self._pass[name] = self._pass.get(name, 0.0) + whole - inside
            if self._open:
                self._open[-1][1] += whole

        return leave


def own_times(
    module: nn.Module, call: Callable[[], object], rounds: int, warm_up: int = 3, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Measure the time of each layer of a network, without the layers that it calls.

    Args:
        module: The network.
        call: Runs it.
        rounds: The number of passes that are measured, at least 1.
        warm_up: The number of passes before them.
        clock: Tells the time in seconds.

    Returns:
        The shortest time of each layer in seconds, by its dotted name. The network itself has the name ``""``.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> list(own_times(network, lambda: network(torch.ones(1, 2)), rounds=2))
        ['0', '1', '']
    """
    for _ in range(warm_up):
        call()
    times = OwnTimes(clock)
    with times.watching(module):
        for _ in range(rounds):
            times.measure(call)
    return times.fastest
