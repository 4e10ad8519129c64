"""The masks of all cycles of a run as one value: in which cycle each weight dies."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.masks.packing import pack_bits

LIVES = torch.iinfo(torch.int16).max  # instead of a cycle, for what lives to the end


@dataclass(frozen=True)
class Chain:
    """The masks of cycles 1, 2, ...: every mask lies within the one before it, so one number for each weight will do.

    Args:
        deaths: The cycle from which each weight is dead, by the name of its tensor; int16, ``LIVES`` for never.
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
        """Put the masks of cycles together.

        Args:
            masks: Those of cycles 1, 2, ..., true where alive; a tensor that is missing is all alive.
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
                    raise ValueError(f"weights of {name!r} that are dead in cycle {cycle - 1} live in cycle {cycle}")
                death[before & ~living] = cycle
        return cls(deaths, tuple(sparsities))

    @property
    def cycles(self) -> int:
        """How many cycles it has."""
        return len(self.sparsities)

    def masks(self, cycle: int) -> dict[str, Tensor]:
        """The masks of a cycle by name, true where alive.

        Args:
            cycle: Its number, from 1 to ``cycles``.
        """
        return {name: death > cycle for name, death in self.deaths.items()}

    def packed(self, cycle: int) -> dict[str, Tensor]:
        """The masks of a cycle at one bit a weight; tensors that are all alive are left out."""
        masks = self.masks(cycle)
        return {name: pack_bits(mask.to(torch.uint8)) for name, mask in masks.items() if not bool(mask.all())}

    def alive(self, cycle: int) -> dict[str, int]:
        """How many weights of each tensor live in a cycle."""
        return {name: int(torch.count_nonzero(mask)) for name, mask in self.masks(cycle).items()}

    def digests(self) -> list[str]:
        """A short name for the masks of each cycle, equal if and only if the masks are."""
        return [digest_of(self.masks(cycle)) for cycle in range(1, self.cycles + 1)]


def digest_of(masks: Mapping[str, Tensor]) -> str:
    """A short name for masks, equal if and only if they are.

    Args:
        masks: Masks by name, true where alive; one that is all alive may be left out.

    Example:
        >>> masks = {"a": torch.tensor([True, False]), "b": torch.tensor([True])}
        >>> digest_of(masks) == digest_of({"a": masks["a"]}) != digest_of({"a": ~masks["a"]})
        True
    """
    found = hashlib.sha256()
    for name in sorted(name for name, mask in masks.items() if not bool(mask.all())):
        found.update(name.encode() + b"\0" + pack_bits(masks[name].to(torch.uint8)).numpy().tobytes())
    return found.hexdigest()[:16]
