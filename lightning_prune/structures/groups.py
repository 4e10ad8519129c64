"""Groups of units: where the channels, heads and neurons of a network lie in its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from lightning_prune.structures.costs import Costs, Counts
from lightning_prune.structures.overview import overview, percent

Role = Literal["producer", "gate", "within", "statistic", "consumer"]


@dataclass(frozen=True)
class Slices:
    """Where the units of a group lie in one tensor.

    Args:
        tensor: The dotted name of a parameter or buffer of the module.
        dim: The dimension of the tensor along which the units lie.
        units: For each index along ``dim`` the number of the unit it belongs to, int64, on the CPU. -1 where the index
            belongs to no unit and always stays.
        role: ``"producer"`` for the rows and biases that compute the units' values, ``"gate"`` for the scale and shift
            of a norm, ``"within"`` for what takes units to the same units (depthwise convolutions, grouped ones that
            lose whole groups, layer scales, position embeddings, recurrent weights), ``"statistic"`` for buffers such
            as running means, and ``"consumer"`` for the columns that read the values. Statistics are removed with a
            unit, but never masked.
        bias: Whether the tensor is a bias, or the shift of a norm.
    """

    tensor: str
    dim: int
    units: Tensor
    role: Role
    bias: bool = False


@dataclass(frozen=True)
class Counted:
    """A number of a module that falls with the units of a group, such as ``groups`` of a convolution.

    Args:
        module: The dotted name of the module.
        attribute: The name of its attribute.
        units: The unit of each thing that is counted, int64. -1 for things that are of no unit of this group.
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
        obstacle: Why the units can be masked, but not removed by slicing tensors: code holds their number. None if
            nothing stands against it.
        summed: Whether values of several producers are added, as in a residual stream, and not used side by side, as
            queries, keys and values are.
    """

    name: str
    width: int
    slices: tuple[Slices, ...]
    counted: tuple[Counted, ...] = ()
    obstacle: str | None = None
    summed: bool = True

    @property
    def producers(self) -> tuple[str, ...]:
        """The names of the weights that compute the units' values, without biases."""
        found = (one.tensor for one in self.slices if one.role == "producer" and not one.bias)
        return tuple(dict.fromkeys(found))

    @property
    def coupled(self) -> bool:
        """Whether values of more than one weight are added to make a unit's, as in the residual stream of a ResNet."""
        return self.summed and len(self.producers) > 1

    @property
    def removable(self) -> bool:
        """Whether the units can be removed. Else they can only be masked."""
        return self.obstacle is None


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
        shapes: The shapes of all parameters and buffers, by name.
        costs: What the network costs, depending on which units live.

    Example:
        >>> from torch import nn, ones
        >>> from lightning_prune import structures_of
        >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> found = structures_of(network, ones(1, 3))
        >>> [(group.name, group.width) for group in found.groups.values()]
        [('0', 8)]
        >>> [(one.tensor, one.dim, one.role) for one in found.groups["0"].slices]
        [('0.weight', 0, 'producer'), ('0.bias', 0, 'producer'), ('2.weight', 1, 'consumer')]
        >>> found.kept[0]
        Kept(tensor='0.weight', dim=1, reason='aten.addmm in 0 reads data of a fixed size')
    """

    groups: Mapping[str, Group]
    kept: tuple[Kept, ...]
    shapes: Mapping[str, tuple[int, ...]]
    costs: Costs = field(default_factory=Costs)

    def rows(self) -> list[tuple[str, ...]]:
        """The cells of a table, a row for each group. ``overview.HEADER`` names the columns."""
        total = self.costs.count()
        return [self._row(group, total) for group in self.groups.values()]

    def _row(self, group: Group, total: Counts) -> tuple[str, ...]:
        mine = self.costs.share(group.name)
        places = ", ".join(f"{one.tensor}[{one.dim}]" for one in group.slices if one.role != "statistic")
        shares = percent(mine.parameters, total.parameters), percent(mine.flops, total.flops)
        return group.name, str(group.width), *shares, "yes" if group.coupled else "no", places

    def __str__(self) -> str:
        obstacles = {group.name: group.obstacle for group in self.groups.values() if group.obstacle is not None}
        return overview(self.rows(), obstacles, [(f"{one.tensor}[{one.dim}]", one.reason) for one in self.kept])
