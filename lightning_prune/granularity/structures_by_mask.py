"""Whole structures live and die: channels, heads and neurons with all that belongs to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.user_error import UserError
from lightning_prune.granularity.base import Granularity
from lightning_prune.granularity.coupled_units import CoupledUnits
from lightning_prune.granularity.reduce import Reduce, check_reduce
from lightning_prune.selection.parameters import matches
from lightning_prune.structures.groups import FoundStructures, Group


@dataclass(frozen=True)
class Structures(Granularity):
    """Channels, heads and neurons live and die with all that belongs to them, on both sides.

    The groups are found when training starts, on one batch or on ``example_input_array``. A dead unit has zeros in the
    rows and biases that compute it, in the scale and shift of its norms, and in the columns that read it. So it can be
    removed afterwards, and the network computes the same. A unit scores what the weights score that compute it. What
    mixes channels, such as a LayerNorm over a residual stream, is never pruned. ``lightning_prune.structures_of`` lists
    the groups and what is kept, with the reasons.

    A group is pruned if ``prunable`` selects all of the weights that compute it. The weights that read it lose columns
    whether they are selected or not.

    Reference: Li et al., Pruning Filters for Efficient ConvNets, 2017, https://arxiv.org/abs/1608.08710, and Fang et
    al., DepGraph: Towards Any Structural Pruning, 2023, https://arxiv.org/abs/2301.12900 (coupled groups).

    Args:
        coupled: Whether groups are pruned whose units are sums of several weights' outputs, such as the channels of a
            residual stream. Li et al. leave them alone.
        round_to: Groups keep a multiple of so many units, or all of them. Kernels are often faster for multiples of 8.
        minimum: The number of units that every group keeps at least.
        exclude: Leave groups alone whose name, or the name of one of their tensors, matches one of these patterns.
            ``*`` and ``?`` work as in file names, and the name of a module stands for everything in it.
        reduce: What makes one score of the scores of the weights that compute a unit, see ``Filters``.

    Raises:
        ValueError: If an argument lies outside its range. When training starts, if a pattern matches no group, a group
            is smaller than ``round_to``, or no group is left.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lightning_prune import structures_of
        >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> found = structures_of(network, torch.ones(1, 3))
        >>> units = Structures()(dict(network.named_parameters()), {}, found)
        >>> units.shapes, list(units.covered)
        ({'0': torch.Size([8])}, ['0.weight', '0.bias', '2.weight'])
    """

    coupled: bool = True
    round_to: int = 1
    minimum: int = 1
    exclude: list[str] | str = field(default_factory=list)
    reduce: Reduce = "mean"

    needs_groups = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", [self.exclude] if isinstance(self.exclude, str) else list(self.exclude))
        for name in ("round_to", "minimum"):
            check_at_least_one("Structures", name, getattr(self, name))
        check_reduce(self, self.reduce)

    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> CoupledUnits:
        if found is None:
            raise UserError("Structures() needs the groups of the network: give what structures_of found.")
        for pattern in self.exclude:
            if not any(_named(group, pattern) for group in found.groups.values()):
                raise UserError(
                    f"Structures(exclude=[{pattern!r}]) matches no group. The groups are: {_first(list(found.groups))}."
                )
        reasons = {name: self._reason(group, weights) for name, group in found.groups.items()}
        chosen = {name: group for name, group in found.groups.items() if reasons[name] is None}
        if not chosen:
            left = [f"{name} ({reason})" for name, reason in reasons.items()]
            left += [f"{one.tensor}[{one.dim}] ({one.reason})" for one in found.kept]
            raise UserError(f"Structures() has nothing to prune: {_first(left) or 'the network has no groups'}.")
        for name, group in chosen.items():
            if group.width < self.round_to:
                raise UserError(
                    f"Structures(round_to={self.round_to}) is larger than the group {name!r}, which has {group.width} "
                    f"units. Exclude it, Structures(exclude=[{name!r}]), or lower round_to."
                )
        return CoupledUnits(chosen, found.shapes, self.minimum, self.round_to, found.costs)

    def _reason(self, group: Group, weights: Mapping[str, Tensor]) -> str | None:
        """The reason why a group is left alone. None if it is pruned."""
        if pattern := next((pattern for pattern in self.exclude if _named(group, pattern)), None):
            return f"excluded by the pattern {pattern!r}"
        if group.coupled and not self.coupled:
            return "a sum of several weights' outputs (coupled=False)"
        if not group.producers:
            return "no weight computes it"
        if missing := [name for name in group.producers if name not in weights]:
            return f"{missing[0]} is not prunable"
        return None


def _named(group: Group, pattern: str) -> bool:
    return any(matches(name, pattern) for name in (group.name, *(one.tensor for one in group.slices)))


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
