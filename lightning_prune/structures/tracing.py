"""Follow the operations of a forward pass, and let the rules carry the labels along."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightning_prune.structures.labels import ANY, PLAIN, narrowed
from lightning_prune.structures.rules import (  # noqa: F401 - they register themselves
    attention,
    channels,
    contractions,
    convolutions,
    norms,
    places,
    recurrent,
    reductions,
    shapes,
)
from lightning_prune.structures.rules.pointwise import is_pointwise, pointwise
from lightning_prune.structures.rules.registry import RULES, Call, bind, tensors_in
from lightning_prune.structures.skipping import READS_VALUES, NeedsValues, stand_in
from lightning_prune.structures.trace import Trace

CHUNKS = (torch.chunk, Tensor.chunk)
ASKS_NOTHING = ("aten.is_same_size", "aten.is_pinned", "aten.sym_size", "aten.sym_stride")


class Chunks(TorchFunctionMode):
    """Tells the trace that ``torch.chunk`` runs. To aten it is a split at fixed sizes."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        chunks = func in CHUNKS
        self.trace.chunking += chunks
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.trace.chunking -= chunks


class Tracing(TorchDispatchMode):
    """Runs operations, and tells the rules about them. Older tensors that are written to can be put back.

    Args:
        trace: Where the labels are kept.
        computes: Whether to compute large products, too. Otherwise they are zeros.
    """

    def __init__(self, trace: Trace, computes: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace
        self._computes = computes
        self._before: list[tuple[Tensor, Tensor]] = []
        self._new: set[int] = set()  # the memory that was made by operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = bind(func, args, kwargs or {})
        if func._schema.is_mutable:
            self._remember(func, given)
        result = self._run(func, args, kwargs or {})
        if all(returned.alias_info is None for returned in func._schema.returns):
            self._new.update(map(_memory, _strided(result)))
        follow(self.trace, Call(func, given, result))
        return result

    def put_back(self) -> None:
        """Give the tensors that are older than this the numbers that they had."""
        with torch.no_grad():
            for tensor, before in reversed(self._before):
                tensor.copy_(before)
        self._before.clear()

    def _run(self, operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self._computes:
            return operation(*arguments, **named)
        if operation.overloadpacket in READS_VALUES and any(map(self.trace.knows, tensors_in(arguments))):
            raise NeedsValues
        found = stand_in(operation, arguments, named, self.trace.knows)
        return operation(*arguments, **named) if found is None else found

    def _remember(self, operation: Any, given: dict[str, Any]) -> None:
        for argument in operation._schema.arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                old = [one for one in _strided(given[argument.name]) if _memory(one) not in self._new]
                self._before += [(one, one.detach().clone()) for one in old]


def _strided(values: Any) -> list[Tensor]:
    return [one for one in tensors_in([values]) if one.layout is torch.strided]


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def follow(trace: Trace, call: Call) -> None:
    """Carry the labels through one operation.

    Args:
        trace: The trace.
        call: The operation, which has run.
    """
    known = [one for one in call.inputs if trace.knows(one)]
    rule = _rule_for(call)
    if not known and (call.inputs or rule is None):
        return  # data only
    changed = [one for one in call.outputs if call.operation._schema.is_mutable and any(one is i for i in call.inputs)]
    before = [trace.elements(one) for one in changed if trace.dims(one) is None]
    try:
        (rule or _unknown)(trace, call)
    except (RuntimeError, IndexError, KeyError, TypeError, ValueError) as error:  # a call that the rule did not expect
        _unknown(trace, call, f"{call.name}{trace.here} could not be followed ({type(error).__name__}: {error})")
    for one, labels in zip(changed, before, strict=False):
        _written(trace, call, labels, trace.elements(one))


def outputs_stay(trace: Trace, output: Any) -> None:
    """Pin what a network returns.

    Args:
        trace: The trace.
        output: What it returned: tensors in containers, or in the attributes of objects.
    """
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor):
            if trace.knows(leaf):
                trace.pin_tensor(leaf, "the network returns it")
        elif hasattr(leaf, "__dict__") and not callable(leaf):
            outputs_stay(trace, [one for one in vars(leaf).values() if one is not output])


def _rule_for(call: Call) -> Callable[[Trace, Call], None] | None:
    packet = call.operation.overloadpacket
    if packet in RULES:
        return RULES[packet]
    return pointwise if is_pointwise(call) or call.name == "aten.copy_" else None


def _unknown(trace: Trace, call: Call, reason: str | None = None) -> None:
    """Pin whatever an operation without a rule touches."""
    if call.name in ASKS_NOTHING:
        return
    reason = reason or f"{call.name}{trace.here} is not understood"
    for tensor in call.inputs:
        if trace.knows(tensor):
            trace.pin_tensor(tensor, reason)
    for tensor in call.outputs:
        trace.set(tensor, torch.full((), PLAIN))


def _written(trace: Trace, call: Call, before: Tensor, after: Tensor) -> None:
    """Pin what is written into a tensor that had other labels: views of the tensor are not told."""
    if before is after:
        return
    narrow, other = narrowed(before, after)
    if bool((narrow == ANY).all()) or torch.equal(trace.labels.roots(narrow), trace.labels.roots(other)):
        return
    for labels in (before, after):
        trace.pin(labels, f"{call.name}{trace.here} writes it into another tensor")
