"""Count the parameters and the floating-point operations of a network from which units are removed, exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError

Place = tuple[str, int]


@dataclass(frozen=True)
class Term:
    """A summand of a cost: a factor times the sizes of some dimensions that are left.

    Args:
        factor: The factor.
        dims: Names of tensors with a dimension of each. -1 stands for heads that lie in no tensor as they are counted.
    """

    factor: int
    dims: tuple[Place, ...]


@dataclass(frozen=True)
class Extent:
    """The size of a dimension, by what it consists of.

    Args:
        fixed: The number of indices that always stay.
        units: For each group the number of indices that belong to each unit, int64.
    """

    fixed: int
    units: tuple[tuple[str, Tensor], ...]

    def size(self, alive: Mapping[str, Tensor]) -> int:
        """The number of indices that are left.

        Args:
            alive: For each group which units live, bool or uint8. All units live in groups that are left out.
        """
        left = self.fixed
        for group, counts in self.units:
            left += int(counts.sum() if group not in alive else counts[alive[group].to(torch.bool).cpu()].sum())
        return left


@dataclass(frozen=True)
class Counts:
    """The cost of a network.

    Args:
        parameters: The number of its parameters.
        flops: The floating-point operations of one forward pass on one sample. A multiplication and an addition are
            two.
    """

    parameters: int
    flops: int


@dataclass(frozen=True)
class Costs:
    """What a network costs, depending on which units live.

    Args:
        parameters: The numbers of parameters add up to all parameters of the network.
        flops: The operations add up to those of the traced computation, as torch's ``FlopCounterMode`` counts them.
        extents: What the sizes in the terms consist of. Sizes that are left out are in the factors.

    Example:
        >>> width = Extent(0, (("hidden", torch.ones(4, dtype=torch.int64)),))
        >>> rows = ("0.weight", 0)
        >>> costs = Costs((Term(10, (rows,)), Term(3, ())), (Term(20, (rows,)),), {rows: width})
        >>> costs.count()
        Counts(parameters=43, flops=80)
        >>> costs.count({"hidden": torch.tensor([True, False, False, True])})
        Counts(parameters=23, flops=40)
    """

    parameters: tuple[Term, ...] = ()
    flops: tuple[Term, ...] = ()
    extents: Mapping[Place, Extent] = field(default_factory=dict)

    def count(self, alive: Mapping[str, Tensor] | None = None) -> Counts:
        """Count what is left.

        Args:
            alive: For each group which units live, bool or uint8, of the shape ``[width]``. All units live in groups
                that are left out.

        Returns:
            The exact cost of the network from which all dead units are removed.

        Raises:
            UserError: If a group is unknown, or the number of its units is another.
        """
        living = alive or {}
        self._check(living)
        sizes = {place: extent.size(living) for place, extent in self.extents.items()}
        return Counts(_sum(self.parameters, sizes), _sum(self.flops, sizes))

    def share(self, group: str) -> Counts:
        """The cost that falls with the units of a group: of all terms with a dimension on which they lie.

        Args:
            group: The name of the group.
        """
        mine = {place for place, extent in self.extents.items() if any(name == group for name, _ in extent.units)}
        sizes = {place: extent.size({}) for place, extent in self.extents.items()}
        parts = ([term for term in terms if mine.intersection(term.dims)] for terms in (self.parameters, self.flops))
        return Counts(*(_sum(part, sizes) for part in parts))

    def _check(self, alive: Mapping[str, Tensor]) -> None:
        widths = {name: len(counts) for extent in self.extents.values() for name, counts in extent.units}
        for name, living in alive.items():
            if widths.get(name, living.numel()) != living.numel() or name not in widths:
                known = f"{widths[name]} units" if name in widths else f"no group; groups are {', '.join(widths)}"
                raise UserError(f"Costs.count: alive[{name!r}] has {living.numel()} units, but there is {known}.")


def _sum(terms: tuple[Term, ...] | list[Term], sizes: Mapping[Place, int]) -> int:
    return sum(term.factor * prod(sizes[place] for place in term.dims) for term in terms)
