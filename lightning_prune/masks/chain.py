"""The masks of all cycles of a run as one value, which holds the cycle in which each weight dies."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.packing import pack_bits

LIVES = torch.iinfo(torch.int16).max  # in place of a cycle, for weights that live to the end


@dataclass(frozen=True, repr=False)
class Chain:
    """The masks of cycles 1, 2, ... as one number per weight, because dead weights never live again.

    Args:
        deaths: The cycle from which each weight is dead, by the name of its tensor, int16. ``LIVES`` for weights that
            never die.
        sparsities: The sparsity that the schedule asked for in each cycle, from cycle 1 on.

    Example:
        >>> first, second = torch.tensor([True, True, False]), torch.tensor([True, False, False])
        >>> chain = Chain.of([{"a": first}, {"a": second}], {"a": first.shape}, [0.3, 0.6])
        >>> chain.alive(1), chain.alive(2)
        ({'a': 2}, {'a': 1})
    """

    deaths: Mapping[str, Tensor]
    sparsities: Sequence[float]

    @classmethod
    def of(
        cls, masks: Sequence[Mapping[str, Tensor]], shapes: Mapping[str, torch.Size], sparsities: Sequence[float]
    ) -> "Chain":
        """Make a chain of the masks of cycles.

        Args:
            masks: The masks of cycles 1, 2, ..., true where alive. A tensor that is missing is fully alive.
            shapes: The shapes of all prunable weights by name.
            sparsities: The sparsity that the schedule asked for in each cycle.

        Raises:
            ValueError: If a weight that was dead lives again.
        """
        deaths = {name: torch.full(shape, LIVES, dtype=torch.int16) for name, shape in shapes.items()}
        for cycle, given in enumerate(masks, start=1):
            for name, death in deaths.items():
                living = given[name].bool() if name in given else torch.ones_like(death, dtype=torch.bool)
                before = death == LIVES
                if bool((living & ~before).any()):
                    raise UserError(f"weights of {name!r} that are dead in cycle {cycle - 1} live in cycle {cycle}")
                death[before & ~living] = cycle
        return cls(deaths, tuple(sparsities))

    def __repr__(self) -> str:
        return f"Chain({self.cycles} cycles of {len(self.deaths)} tensors, sparsities {list(self.sparsities)})"

    @property
    def cycles(self) -> int:
        """The number of cycles."""
        return len(self.sparsities)

    def masks(self, cycle: int) -> dict[str, Tensor]:
        """The masks of a cycle by name, true where alive.

        Args:
            cycle: The number of the cycle, from 1 to ``cycles``.
        """
        return {name: death > cycle for name, death in self.deaths.items()}

    def packed(self, cycle: int) -> dict[str, Tensor]:
        """The masks of a cycle at one bit per weight. Tensors that are fully alive are left out."""
        masks = self.masks(cycle)
        return {name: pack_bits(mask.to(torch.uint8)) for name, mask in masks.items() if not bool(mask.all())}

    def alive(self, cycle: int) -> dict[str, int]:
        """The number of living weights of each tensor in a cycle."""
        return {name: int(torch.count_nonzero(mask)) for name, mask in self.masks(cycle).items()}

    def digests(self) -> list[str]:
        """A short hash of the masks of each cycle. Two hashes are equal if and only if the masks are equal."""
        return [digest_of(self.masks(cycle)) for cycle in range(1, self.cycles + 1)]


def digest_of(masks: Mapping[str, Tensor]) -> str:
    """A short hash of masks. Two hashes are equal if and only if the masks are equal.

    Args:
        masks: Masks by name, true where alive. A mask that is fully alive may be left out.

    Example:
        >>> masks = {"a": torch.tensor([True, False]), "b": torch.tensor([True])}
        >>> digest_of(masks) == digest_of({"a": masks["a"]}) != digest_of({"a": ~masks["a"]})
        True
    """
    found = hashlib.sha256()
    for name in sorted(name for name, mask in masks.items() if not bool(mask.all())):
        found.update(name.encode() + b"\0" + pack_bits(masks[name].to(torch.uint8)).numpy().tobytes())
    return found.hexdigest()[:16]
