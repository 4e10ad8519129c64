"""Prune one block of the network in each cycle, in a given order."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_prune.allocation.rule import Rule
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import Scores
from lightning_prune.selection.parameters import matches


@dataclass(frozen=True, repr=False)
class BlockByBlock(Rule):
    """Prune the next block in each cycle, and leave all other blocks as they are. The schedule's sparsity is not used.

    A block is what a name pattern stands for, and the blocks come in the order of the patterns. A prune takes the first
    block that is not at its sparsity yet, and removes as much of each of its groups. So the number of cycles is the
    number of blocks. When all blocks are pruned, a prune removes nothing. The sparsity that is logged is that of the
    whole network. With ``granularity=Structures()`` or ``Filters()``, units are counted.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural Networks,
    2025, https://arxiv.org/abs/2505.07411. The number that is removed is rounded up, as in the authors' code.

    Args:
        sparsities: Maps the name pattern of each block to the fraction of its units that is removed, in (0, 1). ``*``
            and ``?`` work as in file names, and the name of a module stands for everything in it. The first pattern
            that matches counts. What matches none stays whole.

    Raises:
        ValueError: If there is no block, or a fraction lies outside (0, 1). A call raises it if a pattern matches
            nothing.

    Example:
        >>> import torch
        >>> scores = Scores.of({"first": torch.rand(10), "second": torch.rand(10), "head": torch.rand(10)})
        >>> BlockByBlock({"first": 0.5, "second": 0.8})(scores, density=0.9)
        {'first': 5, 'second': 10, 'head': 10}
    """

    sparsities: dict[str, float]

    first_match_counts = ("sparsities",)
    is_fixed = True  # the counts do not depend on the density

    def __post_init__(self) -> None:
        object.__setattr__(self, "sparsities", dict(self.sparsities))
        if not self.sparsities or not all(0 < one < 1 for one in self.sparsities.values()):
            raise UserError(
                f"BlockByBlock(sparsities={self.sparsities}) needs fractions in (0, 1) by patterns, for instance "
                "{'layer1.*': 0.6, 'layer2.*': 0.6}."
            )

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        counts = dict(scores.living)
        for names, sparsity in self._blocks(list(scores)):
            kept = {name: _kept(scores.shapes[name].numel(), sparsity) for name in names}
            if any(counts[name] > kept[name] for name in names):
                return counts | {name: min(counts[name], kept[name]) for name in names}
        return counts

    def _blocks(self, names: list[str]) -> list[tuple[list[str], float]]:
        """The names of each block, and its sparsity."""
        left, found = names, []
        for pattern, sparsity in self.sparsities.items():
            block = [name for name in left if matches(name, pattern)]
            if not block:
                raise UserError(
                    f"BlockByBlock(sparsities={self.sparsities}): {pattern!r} matches none of {', '.join(names)} that "
                    "an earlier pattern has not matched."
                )
            left = [name for name in left if name not in block]
            found.append((block, sparsity))
        return found


def _kept(units: int, sparsity: float) -> int:
    return max(units - math.ceil(round(units * sparsity, 9)), 1)
