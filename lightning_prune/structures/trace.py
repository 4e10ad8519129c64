"""The labels of the tensors of one forward pass, which the rules of the operations read, link and set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lightning_prune.selection.parameters import plain_name
from lightning_prune.structures.groups import Role
from lightning_prune.structures.labels import ANY, PLAIN, Labels, constant_along, expanded, narrowed, without_repeats

MOST_ELEMENTS = 1 << 20  # a larger parameter that is used element by element is not followed


@dataclass
class Axis:
    """The labels of one dimension of a parameter or buffer, or of all its elements.

    Args:
        tensor: The name.
        dim: The dimension. None: ``labels`` has one label for each element.
        labels: The labels, of the shape ``[size]``, or of the shape of the tensor.
        role: The part that the tensor has for the units along this dimension. None if no operation has used it yet.
        bias: Whether the tensor is a bias.
    """

    tensor: str
    dim: int | None
    labels: Tensor
    role: Role | None = None
    bias: bool = False


@dataclass
class Counting:
    """A number of a module that falls with what the labels stand for."""

    module: str
    attribute: str
    labels: Tensor


@dataclass
class Product:
    """A counted operation: its floating-point operations, and the labels along the dimensions that may shrink."""

    name: str
    flops: int
    along: tuple[Tensor, ...]


@dataclass
class Trace:
    """The labels of all tensors that were met so far, and what was learned about them.

    Every index of every dimension of a parameter has a label, and every element of an activation carries one. Labels
    that an operation ties together are merged. See ``docs/structures.md``.

    Args:
        module: The network.
    """

    module: nn.Module
    labels: Labels = field(default_factory=Labels)
    axes: list[Axis] = field(default_factory=list)
    # What a view divides into several dimensions, the reason, and whether dimensions for places follow, as in pictures.
    splits: list[tuple[Tensor, str, bool]] = field(default_factory=list)
    counted: list[Counting] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    running: list[tuple[str, nn.Module]] = field(default_factory=list)  # the modules whose forward runs, outer first
    chunking: int = 0  # > 0 while torch.chunk runs, which divides whatever size there is

    def __post_init__(self) -> None:
        self._elements: dict[int, Tensor] = {}
        self._dims: dict[int, list[Tensor]] = {}
        self._alive: list[Tensor] = []  # ids are unique among living tensors only
        self._names: dict[int, str] = {}
        self._axis_of: dict[int, Axis] = {}  # by the first label
        self.parameters = {plain_name(name): one for name, one in self.module.named_parameters()}
        self.buffers = {plain_name(name): one for name, one in self.module.named_buffers()}
        for name, tensor in (*self.parameters.items(), *self.buffers.items()):
            if tensor.dim() and tensor.numel() and tensor.is_floating_point():
                self._names.setdefault(id(tensor), name)
                self._alive.append(tensor)

    def name_of(self, tensor: Tensor | None) -> str | None:
        """The name of a parameter or buffer. None for any other tensor."""
        return self._names.get(id(tensor))

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor is a parameter or buffer, or computed from one."""
        return any(id(tensor) in known for known in (self._elements, self._dims, self._names))

    def dims(self, tensor: Tensor) -> list[Tensor] | None:
        """The labels of a weight: for each dimension one label per index.

        Args:
            tensor: Any tensor.

        Returns:
            A tensor of labels for each dimension. None if the tensor is no weight, or a weight that was computed.
        """
        if id(tensor) not in self._dims:
            if id(tensor) in self._elements or (name := self.name_of(tensor)) is None:
                return None
            self.set_dims(tensor, [self._fresh(name, dim, size) for dim, size in enumerate(tensor.shape)])
        return self._dims[id(tensor)]

    def set_dims(self, tensor: Tensor, dims: Sequence[Tensor]) -> None:
        """Give a view of a weight its labels."""
        self._dims[id(tensor)] = list(dims)
        self._alive.append(tensor)

    def elements(self, tensor: Tensor) -> Tensor:
        """A label for every element of a tensor. ``PLAIN`` for data."""
        if id(tensor) not in self._elements:
            dims = self.dims(tensor)
            if dims is None:
                return torch.full((), PLAIN).expand(tensor.shape)
            self.set(tensor, self._elements_of_weight(tensor, dims))
        return self._elements[id(tensor)]

    def set(self, tensor: Tensor, labels: Tensor) -> None:
        """Give an activation its labels.

        Args:
            tensor: The activation.
            labels: Labels of its shape, or a shape that can be expanded to it.
        """
        self._elements[id(tensor)] = expanded(labels.expand(tensor.shape))
        self._dims.pop(id(tensor), None)
        self._alive.append(tensor)

    def link(self, first: Tensor, second: Tensor, reason: str) -> None:
        """Tie elements together, one by one.

        Args:
            first: Labels.
            second: Labels of a shape that can be expanded to that of ``first``, or the other way round.
            reason: Why elements that are tied to data can never be removed.
        """
        first, second = narrowed(*torch.broadcast_tensors(first, second))  # type: ignore[no-untyped-call]
        units = (first > ANY) & (second > ANY)
        self.labels.merge(first[units], second[units])
        alone = (first == PLAIN) ^ (second == PLAIN)
        if bool(alone.any()):
            self.pin(torch.maximum(first, second)[alone], reason)

    def pin(self, labels: Tensor, reason: str) -> None:
        """Say that elements can never be removed, and why."""
        self.labels.note(self.labels.pinned, labels, reason)

    def pin_tensor(self, tensor: Tensor, reason: str) -> None:
        """Say that nothing of a tensor can ever be removed, and why."""
        dims = self.dims(tensor)
        for labels in dims if dims is not None else [self.elements(tensor)]:
            self.pin(labels, reason)

    def glue(self, labels: Tensor, dims: Iterable[int], reason: str, mixes: bool = True) -> Tensor:
        """Say that along some dimensions nothing can be removed by itself.

        Args:
            labels: Labels.
            dims: The dimensions.
            reason: The operation that mixes what lies along them.
            mixes: Whether the operation mixes it. Otherwise it only ties it together.

        Returns:
            The labels, which do not change along the dimensions any more.
        """
        for dim in dims:
            if not constant_along(labels, dim):
                narrow = without_repeats(labels)
                self.labels.note(self.labels.glued if mixes else self.labels.tied, narrow, reason)
                one = narrow.amax(dim, keepdim=True)  # any of them, but no element that always stays
                self.link(narrow, one, reason)
                one = torch.where((narrow == PLAIN).any(dim, keepdim=True), PLAIN, one)
                labels = one.expand(labels.shape)
        return labels

    def per_channel(self, labels: Tensor, dim: int, reason: str) -> Tensor:
        """One label for each index of a dimension, after gluing all others."""
        others = [other for other in range(labels.dim()) if other != dim]
        labels = self.glue(labels, others, reason)
        for other in others:
            labels = labels.narrow(other, 0, 1)
        return labels.reshape(-1)

    def use(self, tensor: Tensor, dim: int, role: Role, bias: bool = False) -> None:
        """Note the part that a dimension of a parameter has for its units. The first part counts."""
        axis = self._axis(tensor, dim)
        if axis is not None and axis.role is None:
            axis.role, axis.bias = role, bias

    def use_instead(self, tensor: Tensor, dim: int, role: Role) -> None:
        """Note another part than was seen."""
        axis = self._axis(tensor, dim)
        if axis is not None:
            axis.role = role

    def owner_of(self, tensor: Tensor | None) -> str:
        """The name of the module that holds a weight. For any other tensor that of the innermost module that runs."""
        axis = None if tensor is None else self._axis(tensor, 0)
        if axis is not None:
            return axis.tensor.rpartition(".")[0]
        return plain_name(self.running[-1][0]) if self.running else ""

    def _axis(self, tensor: Tensor, dim: int) -> Axis | None:
        dims = self._dims.get(id(tensor))
        labels = dims[dim] if dims is not None else self._elements.get(id(tensor))
        if labels is None or (not self.name_of(tensor) and dims is None):
            return None
        (label,) = without_repeats(labels).reshape(-1)[:1].tolist()
        found = self._axis_of.get(label)
        return found or next((axis for axis in self.axes if bool((axis.labels == label).any())), None)

    @property
    def here(self) -> str:
        """The module that runs, for reasons: `` in layer4.0``. Empty in the outermost."""
        name = next((plain_name(name) for name, _ in reversed(self.running) if name), "")
        return f" in {name}" if name else ""

    def inside(self, kinds: type | tuple[type, ...]) -> bool:
        """Whether a module of these classes runs."""
        return any(isinstance(module, kinds) for _, module in self.running)

    def _fresh(self, name: str, dim: int | None, size: int) -> Tensor:
        if size == 1 and dim is not None:
            return torch.full((1,), PLAIN)  # the only one of its kind always stays
        labels = self.labels.fresh(size)
        self.axes.append(axis := Axis(name, dim, labels))
        self._axis_of[int(labels[0])] = axis
        return labels

    def _elements_of_weight(self, tensor: Tensor, dims: list[Tensor]) -> Tensor:
        """The labels of a parameter that is used element by element: those of its only dimension, or new ones."""
        large = [dim for dim, size in enumerate(tensor.shape) if size > 1]
        if len(large) <= 1:
            dim = large[0] if large else tensor.dim() - 1
            return dims[dim].view([-1 if other == dim else 1 for other in range(tensor.dim())]).expand(tensor.shape)
        name = self.name_of(tensor)
        reason = f"other values are computed from it as a whole{self.here}"
        if name is None or tensor.numel() > MOST_ELEMENTS or len(large) > 3:
            for labels in dims:
                self.pin(labels, reason)
            return torch.full((), PLAIN).expand(tensor.shape)
        self.axes = [axis for axis in self.axes if axis.tensor != name or axis.role is not None]
        for labels in dims:
            self.pin(labels, reason)
        elements = self._fresh(name, None, tensor.numel()).view(tensor.shape)
        self.axes[-1].labels = elements
        return elements
