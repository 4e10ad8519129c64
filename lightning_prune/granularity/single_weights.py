"""Single weights live and die: the default."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lightning_prune.granularity.base import Granularity
from lightning_prune.structures.groups import FoundStructures


@dataclass(frozen=True)
class Weights(Granularity):
    """Every weight lives and dies alone. This is the default, and needs no units: a mask has one entry a weight.

    Reference: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015,
    https://arxiv.org/abs/1506.02626.

    Example:
        >>> Weights()
        Weights()
    """

    of_weights = True

    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> None:
        return None
