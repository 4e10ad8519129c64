"""Measure what a criterion needs by batches and a loss that the user gives, without a Trainer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from inspect import signature
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.random_state import seed_all
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.averaged_gradients import average
from lightning_prune.callbacks.gathering.source import Source
from lightning_prune.callbacks.gathering.structures_in_fit import of_parameters
from lightning_prune.callbacks.gathering.traceless import gradients_required, module_kept, silence
from lightning_prune.criteria.evidence import MEASURED
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.structures.examples import beside, has_training_step
from lightning_prune.structures.find import structures_of
from lightning_prune.structures.groups import FoundStructures

Loss = Callable[[Any, Any], Tensor]


class OwnLoss(Source):
    """A network with batches and a loss.

    Args:
        module: The network. It stays in the mode in which it is, training or evaluation.
        batches: The batches, in any form that ``loss`` takes. The first ones are used.
        loss: Maps the network and a batch to the loss, a tensor of one number.

    Example:
        >>> source = OwnLoss(nn.Linear(1, 1), [torch.ones(4, 1)], lambda module, batch: module(batch).sum())
        >>> source.gradients({"weight": source.module.weight}, ["gradient"], batches=1, seed=0)
        {'gradient': {'weight': tensor([[4.]])}}
    """

    def __init__(self, module: nn.Module, batches: Iterable[Any] | None, loss: Loss | None) -> None:
        self.module = module
        self._batches, self._loss = batches, loss
        self._drawn: list[Any] = []
        self._more: Iterator[Any] = iter(())

    def refuse(self, weights: Mapping[str, Tensor], what: str, kinds: Sequence[str]) -> None:
        if not set(kinds) & set(MEASURED):
            if self._batches is None:
                raise UserError(
                    f"prune(criterion={what}) looks at what flows through the network: give batches=loader, or a "
                    "criterion of the weights alone, such as lightning_prune.magnitude."
                )
        elif self._batches is None or self._loss is None:
            raise UserError(
                f"prune(criterion={what}) takes gradients of a loss on batches: give both, for instance batches=loader "
                "and loss=lambda module, batch: cross_entropy(module(batch[0]), batch[1]), or a criterion without "
                "gradients, such as lightning_prune.magnitude."
            )
        if any(map(is_sharded, weights.values())):
            raise UserError(f"prune(criterion={what}) needs whole weights, and these are sharded: prune before that.")
        if "hessian_gradient" in kinds and (named := next((n for n, w in weights.items() if w.is_complex()), None)):
            raise UserError(
                f"prune(criterion={what}) takes second derivatives by real weights, and {named!r} is complex: exclude "
                "it with prunable."
            )

    def without_trace(self, seed: int) -> AbstractContextManager[None]:
        return module_kept(self.module, seed)

    def gradients(
        self, weights: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
    ) -> dict[str, dict[str, Tensor]]:
        drawn, parts = self._first(batches), list(weights.values())
        with gradients_required(parts):
            found = average(partial(self._losses, drawn, seed), parts, kinds, type(self.module).__name__)
        return {kind: dict(zip(weights, values, strict=True)) for kind, values in found.items()}

    def passes(self, batches: int, seed: int) -> Iterator[Callable[[], object]]:
        for index, batch in enumerate(self._first(batches)):
            seed_all(seed + index)
            yield partial(self._run, batch, index)

    def structures(self) -> FoundStructures:
        """Find the units of the network that go together: on its ``example_input_array``, or on the first batch."""
        example = None if self._batches is None else self._first(1)[0]
        if getattr(self.module, "example_input_array", None) is not None:
            example = None
        elif isinstance(example, list | tuple) and not callable(getattr(self.module, "training_step", None)):
            example = example[0]
        return of_parameters(self.module, structures_of(self.module, example))

    def ones(self, seed: int) -> Tensor:
        example = getattr(self.module, "example_input_array", None)
        if example is None and self._batches is not None:
            example = self._first(1)[0]
        if isinstance(example, list | tuple) and example:
            example = example[0]
        if not isinstance(example, Tensor) or not example.is_floating_point() or not example.dim():
            raise UserError(
                f"SynFlow puts ones into {type(self.module).__name__}, and has to know their shape: give "
                "prune(batches=...) with batches whose input is a tensor of floating-point numbers (the first of a "
                "tuple), or another criterion, such as lightning_prune.magnitude."
            )
        return torch.ones((1, *example.shape[1:]), device=next(self.module.parameters()).device)

    def _first(self, count: int) -> list[Any]:
        """The first batches. They are drawn once: a loader may give others, or none, the next time."""
        if not self._drawn:
            self._more = iter(self._batches or ())
        self._drawn += islice(self._more, max(count - len(self._drawn), 0))
        if not self._drawn:
            raise UserError("prune(batches=...) has no batch: give at least one.")
        return self._drawn[:count]

    def _run(self, batch: Any, index: int) -> object:
        """Let the network run on a batch: by the loss, by the module's own ``training_step``, or by its forward."""
        if self._loss is not None:
            return self._loss(self.module, batch)
        batch, module = beside(self.module, batch), self.module
        if has_training_step(module) and getattr(module, "automatic_optimization", True):
            silence(module)
            step: Any = module.training_step
            return step(batch, *[index] * (len(signature(step).parameters) > 1))
        if isinstance(batch, Mapping):
            return module(**batch)
        return module(batch[0] if isinstance(batch, list | tuple) else batch)

    def _losses(self, batches: Sequence[Any], seed: int) -> Iterator[Tensor]:
        assert self._loss is not None
        for index, batch in enumerate(batches):
            seed_all(seed + index)  # the same dropout in each pass over a batch
            loss = self._loss(self.module, batch)
            if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
                given = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
                raise UserError(
                    f"prune(loss=...) returned {given}: return the loss of the module on the batch, a tensor of one "
                    "number with a graph."
                )
            yield loss
