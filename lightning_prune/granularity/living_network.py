"""What is left of a network when its dead units are removed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightning_prune.structures.costs import Costs
from lightning_prune.structures.groups import Group


@dataclass(frozen=True)
class LivingNetwork:
    """The groups of a network, and which of their units live.

    Args:
        groups: The groups that are pruned, by name.
        alive: The living units, uint8, by group. All units live in groups that are left out.
        costs: What the network costs, depending on which units live.
    """

    groups: Mapping[str, Group]
    alive: Mapping[str, Tensor]
    costs: Costs

    def flops(self) -> tuple[int, int]:
        """Count the operations of one forward pass on one sample: of the whole network, and of what lives."""
        return self.costs.count().flops, self.costs.count(self.alive).flops

    def without_last_units(self) -> "LivingNetwork":
        """The same network where the last unit of every group is dead, and no other. Groups of one unit stay whole.

        Example:
            >>> living = LivingNetwork({"a": Group("a", 3, ()), "b": Group("b", 1, ())}, {}, Costs())
            >>> living.without_last_units().alive
            {'a': tensor([1, 1, 0], dtype=torch.uint8)}
        """
        wide = {name: group.width for name, group in self.groups.items() if group.width > 1}
        alive = {name: (torch.arange(width) < width - 1).to(torch.uint8) for name, width in wide.items()}
        return replace(self, alive=alive)
