"""Linear layers that compute with a sparse weight, where that was measured to be faster than the dense one."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.selection.parameters import owned_parameters, plain_name
from lightning_prune.shrinking.example_calls import call_on
from lightning_prune.shrinking.quiet_calls import quiet

_SECONDS = 0.1  # that a layer is measured for
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Candidate:
    """A linear layer that may be replaced.

    Args:
        name: The name of the layer.
        layer: The layer.
        shape: The shape of its input in the example. None: the example does not call the layer, or code reads its
            weight without calling it.
    """

    name: str
    layer: nn.Linear
    shape: torch.Size | None

    def draw(self) -> Tensor:
        """Random inputs of this shape. They are not kept: those of all layers may be too large together."""
        assert self.shape is not None, "what is not called is left out before"
        return torch.randn(self.shape, dtype=self.layer.weight.dtype, device=self.layer.weight.device)


@dataclass(frozen=True)
class Replacement:
    """What may take the place of a layer.

    Args:
        product: Computes what the layer computes.
        put: Puts it into the place of the layer, and returns a function that puts the layer back.
    """

    product: Callable[[Tensor], Tensor]
    put: Callable[[], Callable[[], object]]


@dataclass(frozen=True)
class MeasuredLayer:
    """What was measured of a linear layer.

    Args:
        name: The name of the layer.
        shape: The shape of the weight.
        zeros: The fraction of the weight that is zero.
        dense: Seconds of a call with the dense weight. None if it was not measured.
        sparse: Seconds of a call with the sparse weight. None if it was not measured.
        kept_dense: The reason why the layer stays as it is. Empty if it was replaced.
    """

    name: str
    shape: tuple[int, ...]
    zeros: float
    dense: float | None
    sparse: float | None
    kept_dense: str

    @property
    def gain(self) -> float | None:
        """How many times as fast the sparse weight is. None if it was not measured."""
        return self.dense / self.sparse if self.dense and self.sparse else None


class ReplacedLayers:
    """What was measured of every linear layer, and how to undo what was replaced. Printed, it is a table.

    Args:
        layers: The layers.
        undo_steps: Functions that put the former layers back.
    """

    def __init__(self, layers: Sequence[MeasuredLayer], undo_steps: Sequence[Callable[[], object]]) -> None:
        self.layers = tuple(layers)
        self._undo_steps = list(undo_steps)

    @property
    def replaced(self) -> list[str]:
        """The names of the layers that now compute with a sparse weight."""
        return [one.name for one in self.layers if not one.kept_dense] if self._undo_steps else []

    def undo(self) -> None:
        """Put back the former layers, with the very same parameters. A second call does nothing."""
        while self._undo_steps:
            self._undo_steps.pop()()

    def __str__(self) -> str:
        rows = [("layer", "weight", "zeros", "dense", "sparse", "gain", "")]
        rows += [
            (
                one.name,
                " x ".join(map(str, one.shape)),
                f"{one.zeros:.1%}",
                _milliseconds(one.dense),
                _milliseconds(one.sparse),
                "-" if one.gain is None else f"x {one.gain:.2f}",
                f"stays dense: {one.kept_dense}" if one.kept_dense else "sparse",
            )
            for one in self.layers
        ]
        widths = [max(len(row[place]) for row in rows) for place in range(7)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(lines)

    __repr__ = __str__


def replace_layers(
    module: nn.Module,
    example: Any,
    asker: str,
    only_gains: bool,
    replacement: Callable[[Candidate], Replacement | str],
) -> ReplacedLayers:
    """Measure each linear layer once, and replace those that gain.

    Args:
        module: The network.
        example: The inputs of ``forward``, or a batch. None: ``example_input_array``.
        asker: The call that asks, for errors.
        only_gains: Whether layers stay as they are whose replacement is not faster.
        replacement: Makes the replacement of a layer, or says why there is none.

    Raises:
        ValueError: If the network does not run on the example.
    """
    found: list[MeasuredLayer] = []
    undo: list[Callable[[], object]] = []
    for one in candidates(module, example, asker):
        weight, seconds = one.layer.weight, (None, None)
        made = why_not(module, one) or replacement(one)
        if isinstance(made, Replacement):
            *seconds, reason = measure(one, made.product, only_gains)  # type: ignore[assignment]
            undo += [] if reason else [made.put()]
        else:
            reason = made
        found.append(MeasuredLayer(one.name, tuple(weight.shape), zeros_of(weight), *seconds, reason))
    return ReplacedLayers(found, undo)


def candidates(module: nn.Module, example: Any, asker: str) -> list[Candidate]:
    """List the linear layers of a network, with the shape of the input of each.

    Args:
        module: The network.
        example: The inputs of ``forward``, or a batch. None: ``example_input_array``.
        asker: The call that asks, for errors.

    Raises:
        ValueError: If the network does not run on the example.
    """
    call = call_on(module, example, asker)
    shapes: dict[str, torch.Size | None] = {}
    # A layer whose own forward differs is no plain product.
    linear = {plain_name(name): one for name, one in module.named_modules() if type(one).forward is nn.Linear.forward}

    def remember(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            shapes.setdefault(name, given[0].shape if given else None)

        return note

    hooks = [layer.register_forward_pre_hook(remember(name)) for name, layer in linear.items()]
    try:
        with quiet(module, call, training=False):
            call()
    finally:
        for hook in hooks:
            hook.remove()
    return [Candidate(name, layer, shapes.get(name)) for name, layer in linear.items()]


def why_not(module: nn.Module, one: Candidate) -> str:
    """The reason why a layer cannot be replaced, whatever its weight is. Empty if it can.

    Args:
        module: The network.
        one: The layer.
    """
    owners = [len(owned.owners) for owned in owned_parameters(module) if owned.parameter is one.layer.weight]
    if one.shape is None:
        return "the example does not call it"
    if not owners:
        return "its weight is computed (a parametrization)"
    return "its weight is shared with another layer" if owners[0] > 1 else ""


def measure(
    one: Candidate, sparse: Callable[[Tensor], Tensor], only_gains: bool
) -> tuple[float | None, float | None, str]:
    """Compare a layer with its replacement on one input: first the numbers, then the time.

    Args:
        one: The layer.
        sparse: The replacement.
        only_gains: Whether it stays dense if the replacement is not faster.

    Returns:
        The seconds of the layer and of the replacement, and the reason why the layer stays dense, or "".
    """
    inputs = one.draw()
    with torch.no_grad():
        try:
            found, expected = sparse(inputs), one.layer(inputs)
        except (RuntimeError, NotImplementedError) as error:
            return None, None, f"torch cannot compute it: {str(error).splitlines()[0]}"
        error_of = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))
        if not error_of <= _TOLERANCE.get(inputs.dtype, 1e-4):
            return None, None, f"its output differs by {error_of:.1e}"
        dense, faster = _fastest(lambda: one.layer(inputs), lambda: sparse(inputs), inputs.device)
    return dense, faster, "slower with a sparse weight" if only_gains and faster >= dense else ""


@contextmanager
def beta_features() -> Iterator[None]:
    """Leave out torch's warnings that its sparse tensors are not final. What this package uses of them is tested."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        warnings.filterwarnings("ignore", "The PyTorch API of SparseSemiStructuredTensor is in prototype")
        yield


def zeros_of(weight: Tensor) -> float:
    """The fraction of a weight that is zero."""
    return 1 - int(weight.count_nonzero()) / max(weight.numel(), 1)


def _fastest(dense: Callable[[], object], sparse: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """The shortest times of two functions, called in turn."""
    best = [float("inf"), float("inf")]
    for _ in _rounds():
        for place, function in enumerate((dense, sparse)):
            _wait(device)
            began = time.perf_counter()
            function()
            _wait(device)
            best[place] = min(best[place], time.perf_counter() - began)
    return best[0], best[1]


def _rounds() -> Iterator[int]:
    """At least five rounds, and more while there is time."""
    end = time.perf_counter() + _SECONDS
    for number in range(1000):
        if number >= 5 and time.perf_counter() > end:
            return
        yield number


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3f} ms"
