"""The base classes: a granularity is a value that the user gives, and its units are what it makes of a network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Size, Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.granularity.reduce import Reduce
from lightning_prune.schedules.sparsity import SparsitySchedule
from lightning_prune.selection.parameters import Owned
from lightning_prune.structures.groups import FoundStructures

Masks = Mapping[str, Tensor]  # uint8, 1 where a unit lives, by group; a group that is left out is fully alive

_WITHOUT_OUTPUTS = (
    "The criterion looks at what flows out of units, which blocks do not know: give "
    "IterativePruning(granularity=Structures()) or Filters(), or a criterion of the weights alone, such as l1_norm."
)
_WITHOUT_INPUTS = (
    "The criterion looks at what layers make of units, and filters and blocks do not know which layers read them: give "
    "IterativePruning(granularity=Structures()), or a criterion of the weights alone, such as l1_norm."
)
_WITHOUT_GATES = (
    "The criterion looks at the norms and biases behind units, which filters and blocks do not know: give "
    "IterativePruning(granularity=Structures()), or a criterion of the weights alone, such as l1_norm."
)


class Units(ABC):
    """The units of a network, in groups. The units of a group are scored, ranked and masked like weights of one tensor.

    Attributes:
        shapes: The shape of the mask of each group, by name. It has one entry for each unit.
        kernels: The shape of the weight behind each group. Some allocations look at it.
        kinds: What the groups are, by name. Groups of one kind compete with each other under ``isomorphic``.
        minimum: The number of units that each group keeps at least, by name.
        multiple: The number of units by which a group shrinks at a time. A group that is not a multiple of it keeps its
            full width, or a multiple.
        weights: The names of the weights whose scores make the scores of each group, by group.
        covered: The shapes of all tensors that are masked, by name.
    """

    shapes: Mapping[str, Size]
    kernels: Mapping[str, Size]
    kinds: Mapping[str, str]
    minimum: Mapping[str, int]
    multiple: int = 1
    weights: Mapping[str, tuple[str, ...]]
    covered: Mapping[str, Size]

    @abstractmethod
    def rows(self, group: str, tensor_of: Callable[[str], Tensor], fill: float, masks: Masks) -> list[Tensor]:
        """Sort the numbers of the group's weights by unit.

        Args:
            group: The name of the group.
            tensor_of: Maps the name of a weight to a tensor of its shape.
            fill: What stands where a unit has fewer numbers than others, and where a weight is dead.
            masks: The masks of all groups.

        Returns:
            A matrix for each weight of the group: one row for each unit, in the order of the group's mask.
        """

    @abstractmethod
    def factors(self, masks: Masks) -> dict[str, tuple[Tensor, ...]]:
        """Spread the masks of units over tensors.

        Args:
            masks: The masks of groups that are not all alive.

        Returns:
            Masks (uint8) by the names of the tensors. Each can be broadcast to the shape of the tensor, and the product
            of all is the mask of the tensor. A tensor that is fully alive is left out.
        """

    @abstractmethod
    def found(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Find the units that are dead in masks of weights: undo :meth:`factors`.

        Args:
            masks: Masks by the names of the tensors, in their shapes. A tensor that is left out is fully alive.

        Returns:
            The masks of all groups. A unit is dead if all of its weights are.
        """

    @abstractmethod
    def only(self, weights: Iterable[str]) -> "Units":
        """Leave out the groups that these weights do not make.

        Args:
            weights: Names of weights.
        """

    def scales(self, group: str, tensor_of: Callable[[str], Tensor]) -> Tensor:
        """The scales of the norms behind the units of a group.

        Args:
            group: The name of the group.
            tensor_of: Maps the name of a tensor to the tensor.

        Returns:
            One row for each unit, and at least one column.

        Raises:
            ValueError: If there are none.
        """
        raise UserError(_WITHOUT_GATES)

    def gate_sums(self, group: str, product_of: Callable[[str], Tensor]) -> Tensor:
        """Sum products of parameter and gradient over what computes each unit and what scales and shifts it.

        Args:
            group: The name of the group.
            product_of: Maps the name of a tensor to the products of its entries.

        Returns:
            One number for each unit.

        Raises:
            ValueError: If the units are parts of single tensors.
        """
        raise UserError(_WITHOUT_GATES)

    def outputs(self, group: str) -> dict[str, Tensor]:
        """The unit of each output of the layers that make the values of a group.

        Args:
            group: The name of the group.

        Returns:
            The number of the unit of each output, by the name of the layer's weight. -1 for outputs of other units.

        Raises:
            ValueError: If the units are parts of outputs.
        """
        raise UserError(_WITHOUT_OUTPUTS)

    def inputs(self, group: str) -> list[tuple[str, int, Tensor]]:
        """Where layers read the values of a group.

        Args:
            group: The name of the group.

        Returns:
            The name of the weight, the dimension along which its inputs lie, and the number of the unit of each input,
            -1 for inputs of other units.

        Raises:
            ValueError: If it is not known what reads the units.
        """
        raise UserError(_WITHOUT_INPUTS)

    def living_network(self, masks: Masks) -> LivingNetwork | None:
        """What is left of the network when dead units are removed. None if the units are parts of single tensors.

        Args:
            masks: The masks of groups that are not all alive.
        """
        return None

    def state(self) -> dict[str, Any]:
        """What has to be equal where the masks of units are loaded again: plain types and tensors."""
        return {"units": {name: list(shape) for name, shape in self.shapes.items()}}


class Granularity(ABC):
    """The base class of granularities. Subclasses are frozen dataclasses, and their fields are the options.

    Attributes:
        reduce: What makes one score of the scores of a unit's weights.
        needs_groups: Whether the structures of the network have to be found first.
        of_weights: Whether single weights live and die, and no larger units.
        sparsities: The sparsity of each cycle, where the granularity fixes it. None where the user chooses.
    """

    reduce: Reduce = "mean"
    needs_groups = False
    of_weights = False

    @property
    def sparsities(self) -> SparsitySchedule | None:
        return None

    def misfit(self, weight: Owned) -> str | None:
        """The reason why a weight cannot be divided and stays dense, in words. None if it can be divided.

        Args:
            weight: The weight, with its layers.
        """
        return None

    @abstractmethod
    def __call__(
        self, weights: Mapping[str, Tensor], transposed: Mapping[str, int], found: FoundStructures | None = None
    ) -> Units | None:
        """Divide weights into units.

        Args:
            weights: The prunable weights by name.
            transposed: The number of groups of each transposed convolution, by the name of its weight.
            found: The structures of the network. None where ``needs_groups`` is false.

        Returns:
            The units. None if every weight is a unit of its own.
        """
