"""The signs of weights: give weights the signs of others, compare them, and keep them at two bits per weight."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_prune.masks.packing import pack_bits, unpack_bits


def with_signs(sizes: Tensor, signs: Tensor) -> Tensor:
    """Give numbers the signs of others, and zero where the others are zero.

    Args:
        sizes: Numbers of any sign, of which the absolute value counts.
        signs: Numbers of which the sign counts, of the same shape.

    Example:
        >>> with_signs(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([-0.5, 7.0, 0.0])).tolist()
        [-1.0, 2.0, 0.0]
    """
    return sizes.abs() * signs.to(sizes).sign()


@dataclass(frozen=True)
class Signs:
    """The signs of the weights of a network at one moment, on the CPU.

    Args:
        above: Which entries are above zero, packed to one bit each, by the names of their tensors.
        below: Which are below zero.

    Example:
        >>> Signs.of({"w": torch.tensor([3.0, -1.0, 0.0])}).differing("w", torch.tensor([3.0, 1.0, 1.0])).tolist()
        [False, True, False]
    """

    above: Mapping[str, Tensor]
    below: Mapping[str, Tensor]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "Signs":
        """Read the signs of weights.

        Args:
            weights: Whole tensors by name.
        """
        return cls(
            {name: pack_bits((weight > 0).to(torch.uint8)) for name, weight in weights.items()},
            {name: pack_bits((weight < 0).to(torch.uint8)) for name, weight in weights.items()},
        )

    def differing(self, name: str, weight: Tensor) -> Tensor:
        """Mark the entries whose sign differs: one of the two is above zero, and the other one below.

        Args:
            name: The tensor.
            weight: Its present values.

        Returns:
            A tensor of Booleans of the shape of the weight, on its device.
        """
        above, below = (unpack_bits(bits[name], weight.shape).to(weight.device) for bits in (self.above, self.below))
        return ((weight < 0) & above.bool()) | ((weight > 0) & below.bool())

    def share_differing(self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> float:
        """Compute the share of the living weights whose sign differs from what it was.

        Args:
            weights: The present weights by name. Tensors whose signs are not known are left out.
            masks: Which of them live, by name. A tensor without a mask lives as a whole.

        Returns:
            The share, in [0, 1]. 0 if nothing lives.
        """
        differing = living = 0
        for name, weight in weights.items():
            if name not in self.above:
                continue
            changed, mask = self.differing(name, weight), masks.get(name)
            differing += int((changed if mask is None else changed & mask.to(changed)).sum())
            living += weight.numel() if mask is None else int(torch.count_nonzero(mask))
        return differing / living if living else 0.0

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Plain types and tensors."""
        return {"above": dict(self.above), "below": dict(self.below)}
