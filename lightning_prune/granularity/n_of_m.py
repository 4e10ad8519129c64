"""Of every few neighboring weights the same number lives: the pattern that GPUs multiply with."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.user_error import UserError
from lightning_prune.granularity.base import Granularity
from lightning_prune.schedules.sparsity import Levels, SparsitySchedule
from lightning_prune.selection.input_layout import dimension_of_inputs
from lightning_prune.selection.parameters import Owned
from lightning_prune.structures.groups import FoundStructures


@dataclass(frozen=True)
class NofM(Granularity):
    """Exactly ``n`` of every ``m`` neighboring weights live, along the inputs. NVIDIA GPUs from Ampere on compute 2:4.

    The weights of an output are taken ``m`` at a time, along the inputs of a linear layer and the input channels of a
    convolution, for every position of the kernel. In each group the ``n`` weights with the highest scores live. So
    every criterion of single weights goes with this granularity.

    The pattern fixes the sparsity, ``1 - n / m`` of the prunable weights, and how many weights each tensor keeps. Leave
    ``sparsity`` and ``allocation`` of ``IterativePruning`` out. Layers that the pattern does not fit stay dense and do
    not count: layers whose inputs are no multiple of ``m`` (most often the first), grouped and transposed convolutions,
    recurrent layers and embeddings. They are named when the fit starts, and ``pruning.json`` gives the reasons.

    Reference: Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, https://arxiv.org/abs/2104.08378 (2:4 by
    magnitude at once, then the whole training again).

    Args:
        n: How many weights of each group live, at least 1 and less than ``m``. A list has one number for each cycle and
            never rises. After the end of the list, the last number stays.
        m: The size of a group, at least 2.

    Raises:
        ValueError: If an argument lies outside its range.

    Example:
        >>> NofM(2, 4).sparsities
        Levels(levels=[0.5])
        >>> NofM([3, 2], 4).sparsities
        Levels(levels=[0.25, 0.5])
    """

    n: int | list[int]
    m: int

    of_weights = True

    def __post_init__(self) -> None:
        check_at_least_one("NofM", "m", self.m)
        object.__setattr__(self, "n", list(self.n) if isinstance(self.n, list | tuple) else self.n)
        for one in self.numbers:
            check_at_least_one("NofM", "n", one)
            if one >= self.m:
                raise UserError(f"NofM(n={one}, m={self.m}) would remove nothing: give n from 1 to {self.m - 1}.")
        if not self.numbers or self.numbers != sorted(self.numbers, reverse=True):
            raise UserError(
                f"NofM(n={self.n}, m={self.m}): the numbers of the cycles must not rise, because dead weights never "
                "come back. Give for instance NofM([3, 2], 4)."
            )

    @property
    def numbers(self) -> list[int]:
        """How many weights of each group live in cycle 1, 2, ..."""
        return self.n if isinstance(self.n, list) else [self.n]

    @property
    def sparsities(self) -> SparsitySchedule:
        return Levels([1 - one / self.m for one in self.numbers])

    def number_at(self, sparsity: float) -> int:
        """How many weights of each group live at a sparsity.

        Args:
            sparsity: One of the sparsities of the pattern.

        Raises:
            ValueError: If it is none of them.

        Example:
            >>> NofM([3, 2], 4).number_at(0.25)
            3
        """
        for one in self.numbers:
            if abs(1 - one / self.m - sparsity) < 1e-9:
                return one
        known = [f"{1 - one / self.m:g}" for one in self.numbers]
        raise UserError(
            f"{self!r} has sparsity {' or '.join(known)}, and {sparsity:g} was asked for. Give sparsity={known[-1]}."
        )

    def misfit(self, weight: Owned) -> str | None:
        dimension = dimension_of_inputs(weight)
        if isinstance(dimension, str):
            return dimension
        inputs = weight.parameter.shape[dimension]
        return f"{inputs} inputs, which is no multiple of {self.m}" if inputs % self.m else None

    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> None:
        return None
