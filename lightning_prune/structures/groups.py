"""Groups of units: where the channels, heads and neurons of a network lie in its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Role = Literal["producer", "gate", "statistic", "consumer"]


@dataclass(frozen=True)
class Slices:
    """Where the units of a group lie in one tensor.

    Args:
        tensor: The dotted name of a parameter or buffer of the module.
        dim: The dimension of the tensor along which the units lie.
        units: For each index along ``dim`` the number of the unit it belongs to, int64, on the CPU. -1 where the index
            belongs to no unit and always stays.
        role: ``"producer"`` for the rows and biases that compute the units' values, ``"gate"`` for the scale and shift
            of a norm, ``"statistic"`` for buffers such as running means, and ``"consumer"`` for the columns that read
            the values. Statistics are removed with a unit, but never masked.
    """

    tensor: str
    dim: int
    units: Tensor
    role: Role


@dataclass(frozen=True)
class Counted:
    """A number of a module that falls with the units of a group, such as ``groups`` of a convolution.

    Args:
        module: The dotted name of the module.
        attribute: The name of its attribute.
        units: The unit of each thing that is counted, int64.
    """

    module: str
    attribute: str
    units: Tensor


@dataclass(frozen=True)
class Group:
    """Units that compete for nothing but their own lives: removing one removes its slices in all tensors of the group.

    Args:
        name: A name that is unique in the network: that of the first producer's module.
        width: The number of units.
        slices: Where the units lie. A tensor may occur once for each of its dimensions.
        counted: Numbers of modules that fall with the units.
    """

    name: str
    width: int
    slices: tuple[Slices, ...]
    counted: tuple[Counted, ...] = ()

    @property
    def producers(self) -> tuple[str, ...]:
        """The names of the weights that compute the units' values, without biases."""
        raise NotImplementedError

    @property
    def coupled(self) -> bool:
        """Whether more than one weight computes the units, as in the residual stream of a ResNet."""
        return len(self.producers) > 1


@dataclass(frozen=True)
class Kept:
    """A dimension of a tensor that cannot be removed, and why.

    Args:
        tensor: The dotted name of the parameter.
        dim: The dimension.
        reason: A sentence that names the operation, such as "aten.softmax mixes its channels".
    """

    tensor: str
    dim: int
    reason: str


@dataclass(frozen=True)
class FoundStructures:
    """The groups of a network, and what cannot be removed from it.

    Args:
        groups: The groups by name, in the order of the forward pass.
        kept: What cannot be removed.
        shapes: The shapes of all parameters and buffers that occur in groups, by name.
    """

    groups: Mapping[str, Group]
    kept: tuple[Kept, ...]
    shapes: Mapping[str, tuple[int, ...]]
