"""The evidence that a criterion may use besides the weight, and the declaration of the evidence that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.user_error import UserError

MEASURED = ("gradient", "squared_gradient", "hessian_gradient")  # on batches of training data
FLOWING = ("input_norm", "input_gram")  # of what flows into weights, on batches of training data
REMEMBERED = ("initial", "phase_start", "epoch_start")  # weights of an earlier moment
OUTPUTS = ("output_mean", "output_samples", "output_rank")  # of what flows out of units, on batches of training data
READ = ("contribution_gram",)  # of what layers make of units, on batches of training data
OF_UNITS = ("scale", "squared_gate_gradient", *OUTPUTS, *READ)  # of whole units, and only where their outputs are known
KINDS = (*MEASURED, *FLOWING, *REMEMBERED, "survival", *OF_UNITS)

BatchNorm = Literal["training", "evaluation"]


@dataclass(frozen=True)
class Evidence:
    """Everything that a criterion may use besides the weight itself.

    Args:
        generator: The source of all randomness, on the CPU. Its seed depends on the run's seed, the cycle and the
            tensor, so every process draws the same numbers.
        found: The tensors that the criterion declared with :func:`needs`, by kind. Each has the weight's shape, but for
            ``input_gram`` and what belongs to whole units.
        transposed: The number of groups if the weight belongs to a transposed convolution, whose outputs lie along the
            second dimension, and 1 for the ``Conv1D`` of transformers. 0 for any other layer, whose outputs lie along
            the first dimension.
        cycle: The number of the cycle that the prune begins.

    Example:
        >>> Evidence(torch.Generator(), {"gradient": torch.ones(2)}).gradient
        tensor([1., 1.])
    """

    generator: torch.Generator
    found: Mapping[str, Tensor] = field(default_factory=dict)
    transposed: int = 0
    cycle: int = 0

    @property
    def gradient(self) -> Tensor:
        """The gradient of the loss, averaged over the batches."""
        return self._look("gradient")

    @property
    def squared_gradient(self) -> Tensor:
        """The square of each batch's gradient, averaged over the batches."""
        return self._look("squared_gradient")

    @property
    def hessian_gradient(self) -> Tensor:
        """The Hessian of the mean loss of the batches times its gradient, over the prunable weights."""
        return self._look("hessian_gradient")

    @property
    def input_norm(self) -> Tensor:
        """The L2 norm of the numbers that each weight is multiplied with, over all samples and positions."""
        return self._look("input_norm")

    @property
    def input_gram(self) -> Tensor:
        """The Gram matrices of the numbers that the weights of an output are multiplied with.

        They do not have the weight's shape, but (groups, size, size). The outputs are divided evenly into the groups,
        most often one. The size is the number of weights of an output, in the order of
        :func:`~lightning_prune.selection.filter_layout.by_filter`. A Gram matrix is the sum over all samples and
        positions of the products of two numbers.
        """
        return self._look("input_gram")

    @property
    def initial(self) -> Tensor:
        """The weight at the start of the fit."""
        return self._look("initial")

    @property
    def phase_start(self) -> Tensor:
        """The weight at the start of the dense run or the cycle that ends now."""
        return self._look("phase_start")

    @property
    def epoch_start(self) -> Tensor:
        """The weight at the start of the last epoch that was trained."""
        return self._look("epoch_start")

    @property
    def survival(self) -> Tensor:
        """The place of each weight in the order in which SynFlow's rounds remove weights. The last has the highest."""
        return self._look("survival")

    @property
    def scale(self) -> Tensor:
        """The scales of the norms behind each unit: one row for each unit, one column for each norm."""
        return self._look("scale")

    @property
    def squared_gate_gradient(self) -> Tensor:
        """The square of each batch's derivative of the loss by a factor on the unit, averaged over the batches."""
        return self._look("squared_gate_gradient")

    @property
    def output_mean(self) -> Tensor:
        """The mean of the absolute values that flow out of each unit, in one column."""
        return self._look("output_mean")

    @property
    def output_samples(self) -> Tensor:
        """What flows out of each unit: one row for each unit, one column for each sample, the mean over positions."""
        return self._look("output_samples")

    @property
    def output_rank(self) -> Tensor:
        """The rank of the map that flows out of each unit, averaged over samples, in one column."""
        return self._look("output_rank")

    @property
    def contribution_gram(self) -> Tensor:
        """The Gram matrix of what units add to the outputs of the layers that read them: one row and column a unit."""
        return self._look("contribution_gram")

    def _look(self, kind: str) -> Tensor:
        if kind in self.found:
            return self.found[kind]
        raise UserError(
            f"The criterion uses evidence.{kind}, which was not gathered: declare it with "
            f"@lightning_prune.criteria.needs({kind!r}) above the function."
        )


@dataclass(frozen=True)
class Needs:
    """The evidence that must be gathered before a criterion scores.

    Args:
        kinds: Names of properties of :class:`Evidence`.
        batches: The number of batches of training data on which the network is looked at, at least 1.
        batch_norm: The statistics that BatchNorm uses for these gradients. ``"training"``: those of the batch, as while
            the module trains. ``"evaluation"``: the running ones.
        rounds: The number of rounds in which SynFlow reaches the sparsity, at least 1.

    Raises:
        ValueError: If a value lies outside its range.
    """

    kinds: tuple[str, ...] = ()
    batches: int = 1
    batch_norm: BatchNorm = "training"
    rounds: int = 100

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise UserError(f"needs({', '.join(map(repr, unknown))}) is unknown: give names among {', '.join(KINDS)}.")
        for name in ("batches", "rounds"):
            check_at_least_one("needs", name, getattr(self, name))
        if self.batch_norm not in ("training", "evaluation"):
            raise UserError(f"needs(batch_norm={self.batch_norm!r}) must be 'training' or 'evaluation'.")
