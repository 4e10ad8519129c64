"""Run the blocks of a network one after the other, each on what the blocks before it give by now."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.callbacks.gathering.source import Source


@dataclass
class Call:
    """A call of a block.

    Args:
        arguments: Its arguments by place.
        named: Its arguments by name.
        output: What it returned.
    """

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    output: Any = None


@dataclass
class _Seen:
    """The calls of the blocks in one pass."""

    calls: dict[str, list[Call]] = field(default_factory=dict)


class _StopHere(Exception):
    """Ends a pass at the block that was waited for."""


class BlockInputs(Source):
    """A network whose passes are those of one block.

    A block that reads what the block before it returns, and else what that block has read, gets it from there. Any
    other block that is called once a pass is reached by passes of the whole network, which end there. Blocks that are
    called several times, or not as modules, are seen in whole passes.

    Args:
        source: The network and its batches.
        blocks: The names of the modules, in the order in which they are pruned.
    """

    def __init__(self, source: Source, blocks: Sequence[str]) -> None:
        self._source, self._blocks = source, list(blocks)
        self.module, self.alone = source.module, source.alone
        self._at, self._held_at = 0, -1
        self._held: list[Call] = []
        self._links: dict[str, bool] | None = None

    def enter(self, place: int) -> None:
        """Go on to a block, after the blocks before it were changed.

        Args:
            place: Its place among the blocks.
        """
        self._at = place

    def passes(self, batches: int, seed: int) -> Iterator[Callable[[], object]]:
        name = self._blocks[self._at]
        if self._links is None:
            self._links = self._find_links(seed)
        if name not in self._links:
            yield from self._source.passes(batches, seed)
            return
        layer = self.module.get_submodule(name)
        with torch.no_grad():
            if self._links[name] and self._held_at == self._at - 1:
                before = self.module.get_submodule(self._blocks[self._at - 1])
                self._held = [replaced(one, self._run(before, one)) for one in self._held]
            else:
                reached = [self._reach(layer, run) for run in self._source.passes(batches, seed)]
                self._held = [call for calls in reached for call in calls]
        self._held_at = self._at
        for call in self._held:
            yield partial(self._run, layer, call)

    def _run(self, layer: nn.Module, call: Call) -> Any:
        # Copies: what a block writes into, such as a cache of keys and values, has to be as it was.
        first, *rest = (*call.arguments, None)[: max(len(call.arguments), 1)]
        arguments, named = copy.deepcopy((rest, dict(call.named)), {id(first): first})
        with self._source.forward_context():
            return layer(*([first, *arguments] if call.arguments else []), **named)

    def _reach(self, layer: nn.Module, run: Callable[[], object]) -> list[Call]:
        """The call of a layer in a pass, which ends there. None at all if the pass goes another way."""
        found: list[Call] = []

        def stop(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            found.append(Call(copy.deepcopy(arguments), copy.deepcopy(named)))
            raise _StopHere

        handle = layer.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            run()
        except _StopHere:
            pass
        finally:
            handle.remove()
        return found

    def _find_links(self, seed: int) -> dict[str, bool]:
        """The blocks that are called once in a pass, and whether they go on from the block before them."""
        seen = _Seen()
        with torch.no_grad():
            for run in self._source.passes(1, seed):
                with _watched(self.module, self._blocks, seen):
                    run()
        once = {name: seen.calls[name][0] for name in self._blocks if len(seen.calls.get(name, ())) == 1}
        before = dict(zip(self._blocks[1:], self._blocks, strict=False))
        return {
            name: name in before and before[name] in once and goes_on(once[before[name]], call)
            for name, call in once.items()
        }

    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        self._source.refuse(weights, what, kinds)

    def without_trace(self, seed: int) -> AbstractContextManager[None]:
        return self._source.without_trace(seed)

    def gradients(
        self, weights: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
    ) -> dict[str, dict[str, Tensor]]:
        return self._source.gradients(weights, kinds, batches, seed)

    def ones(self, seed: int) -> Tensor:
        return self._source.ones(seed)

    def summed(self, tensor: Tensor) -> Tensor:
        return self._source.summed(tensor)

    def agreed(self, names: list[str]) -> list[str]:
        return self._source.agreed(names)

    def joined(self, matrix: Tensor) -> Tensor:
        return self._source.joined(matrix)

    def of_first(self, tensor: Tensor) -> Tensor:
        return self._source.of_first(tensor)

    def forward_context(self) -> AbstractContextManager[Any]:
        return self._source.forward_context()


def goes_on(before: Call, call: Call) -> bool:
    """Whether a call reads first what another one has returned, and else what that one has read.

    Args:
        before: The other call.
        call: The call.

    Example:
        >>> x, y = torch.ones(2), torch.zeros(2)
        >>> goes_on(Call((x, 3), {}, y), Call((y, 3), {})), goes_on(Call((x,), {}, y), Call((x,), {}))
        (True, False)
    """
    first = _first_of(before.output)
    if not call.arguments or not isinstance(first, Tensor) or call.arguments[0] is not first:
        return False
    others = [*zip(before.arguments[1:], call.arguments[1:], strict=False)]
    others += [(before.named.get(key), value) for key, value in call.named.items()]
    alike = len(before.arguments) == len(call.arguments) and before.named.keys() == call.named.keys()
    return alike and all(_same(one, other) for one, other in others)


def replaced(call: Call, output: Any) -> Call:
    """The call of the next block.

    Args:
        call: The call of a block.
        output: What it returned.
    """
    return Call((_first_of(output), *call.arguments[1:]), call.named)


def _first_of(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) and output else output


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and isinstance(one, bool | int | float | str) and one == other


@contextmanager
def _watched(module: nn.Module, names: Sequence[str], seen: _Seen) -> Iterator[None]:
    handles = []
    for name in names:
        calls = seen.calls.setdefault(name, [])

        def note(layer: nn.Module, arguments: Any, named: Any, output: Any, calls: list[Call] = calls) -> None:
            calls.append(Call(arguments, named, output))

        handles.append(module.get_submodule(name).register_forward_hook(note, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
