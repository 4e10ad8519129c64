"""Select the prunable weights of a module by layer type and by name, and give a reason for every other tensor."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.layer_types import outputs_of, path_of
from lightning_prune.selection.parameters import Owned, matches, owned_parameters
from lightning_prune.selection.unprunable import reason_of_parametrization, reason_of_storage

_DEFAULT_TYPES: tuple[type[nn.Module], ...] = (
    _ConvNd,
    nn.Linear,
    nn.Bilinear,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)
FROZEN = "frozen (requires_grad=False)"  # the reason for tensors that could be pruned if they were trained
COMPUTED = "layers that compute their weights (parametrizations)"
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_NORMALIZATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Skipped:
    """A tensor that is not pruned.

    Args:
        name: The tensor's name in the module.
        weights: The number of its elements.
        reason: The reason why the tensor is not pruned, to be read after "not pruned:".
        layer: The class of the tensor's layer, if the tensor is a trainable matrix that is not pruned only because this
            class was not named. Empty for all other tensors.
    """

    name: str
    weights: int
    reason: str
    layer: str = ""


@dataclass(frozen=True)
class Selected:
    """The result of a selection.

    Args:
        weights: The prunable weights by name, in the order of the module.
        skipped: Every other parameter, with the reason why it is not pruned.
    """

    weights: Mapping[str, nn.Parameter]
    skipped: tuple[Skipped, ...]


class Selection(ABC):
    """The base class of selections: a callable that maps a module to its prunable weights."""

    @abstractmethod
    def __call__(self, module: nn.Module) -> Selected:
        """Select.

        Args:
            module: The network, or the LightningModule that holds it.

        Returns:
            The prunable weights by name, and all other parameters with the reason.

        Raises:
            ValueError: If nothing is prunable, a pattern matches nothing, or a lazy layer is not initialized.
        """


@dataclass(frozen=True)
class Prunable(Selection):
    """Select the weights to prune by layer type and by name.

    By default, the weight of every convolution and linear layer and every recurrent or attention projection is
    selected. Two layers of transformers are selected, too: ``Conv1D``, and stacked experts with an ``is_transposed``
    attribute. Biases and normalization layers are never selected, and embeddings only with ``embeddings=True``. Tied
    tensors count as one tensor. Tensors from which a layer computes its weight (``weight_norm``, ``spectral_norm``, any
    parametrization) are not selected. A criterion would not see the numbers that such a layer multiplies with, and
    zeros in these tensors need not be zeros of the weight.

    Args:
        types: The layer types to select, instead of those above. All matrices of these layers are selected, whatever
            their names. A single class stands for a list of one.
        include: Select only tensors whose name matches one of these patterns. ``*`` and ``?`` work as in file names,
            and the name of a module stands for everything in it. A single string stands for a list of one.
        exclude: Select no tensor whose name matches one of these patterns.
        embeddings: Whether embeddings are selected, too.
        last_layer: Whether the last weight, in the order of the module, is selected. Papers differ in this choice.
        first_layer: Whether the first weight, in the order of the module, is selected.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        >>> selected = Prunable(last_layer=False)(network)
        >>> list(selected.weights)
        ['0.weight']
        >>> for skipped in selected.skipped:
        ...     print(f"{skipped.name}: {skipped.reason}")
        0.bias: a bias
        1.weight: a parameter of a normalization layer (BatchNorm2d)
        1.bias: a parameter of a normalization layer (BatchNorm2d)
        3.weight: the last layer (last_layer=False)
        3.bias: a bias
    """

    types: tuple[type[nn.Module], ...] | type[nn.Module] | None = None
    include: list[str] | str = field(default_factory=list)
    exclude: list[str] | str = field(default_factory=list)
    embeddings: bool = False
    last_layer: bool = True
    first_layer: bool = True

    def __post_init__(self) -> None:
        for argument in ("types", "include", "exclude"):
            object.__setattr__(self, argument, _several(getattr(self, argument)))
        for one in self.types or ():  # type: ignore[union-attr]
            if not isinstance(one, type):
                raise UserError(f"Prunable(types={one!r}) is not a class: give the class of a layer, torch.nn.Linear.")

    def __call__(self, module: nn.Module) -> Selected:
        tensors = list(owned_parameters(module))
        _refuse_uninitialized(module, tensors)
        self._check_patterns([tensor.name for tensor in tensors])
        reasons = {tensor.name: self._reason(tensor) for tensor in tensors}
        prunable = [tensor for tensor in tensors if reasons[tensor.name] is None]
        if prunable and not self.last_layer:
            reasons[prunable.pop().name] = "the last layer (last_layer=False)"
        if prunable and not self.first_layer:
            reasons[prunable.pop(0).name] = "the first layer (first_layer=False)"
        skipped = tuple(
            Skipped(one.name, one.parameter.numel(), reason, self._unnamed(one))
            for one in tensors
            if (reason := reasons[one.name])
        )
        if not prunable:
            raise UserError(_nothing_prunable(module, skipped))
        return Selected({tensor.name: tensor.parameter for tensor in prunable}, skipped)

    def _reason(self, tensor: Owned) -> str | None:
        """The reason why the tensor is not pruned. None if the tensor is pruned."""
        for owner, leaf in tensor.owners:
            if reason := self._reason_of_owner(owner, leaf, tensor.parameter):
                return reason if len(tensor.owners) == 1 else f"tied to {reason}"
        if reason := reason_of_storage(tensor.parameter):
            return reason
        if self.include and not any(matches(tensor.name, pattern) for pattern in self.include):
            return "matches no pattern of include"
        if pattern := next((pattern for pattern in self.exclude if matches(tensor.name, pattern)), None):
            return f"excluded by the pattern {pattern!r}"
        return None if tensor.parameter.requires_grad else FROZEN

    def _reason_of_owner(self, owner: nn.Module, leaf: str, parameter: nn.Parameter) -> str | None:
        layer, foreign = type(owner).__name__, self.types is None and outputs_of(owner) is not None
        if reason := reason_of_parametrization(owner, leaf):
            return reason
        if isinstance(owner, _NORMALIZATIONS):
            return f"a parameter of a normalization layer ({layer})"
        if "bias" in leaf:
            return "a bias"
        if isinstance(owner, _EMBEDDINGS):
            return None if self.embeddings else f"an embedding ({layer}; embeddings=True prunes it)"
        if not foreign and not isinstance(owner, tuple(self.types or _DEFAULT_TYPES)):  # type: ignore[arg-type]
            return f"a parameter of a {path_of(type(owner))}, which is not among the types"
        if not foreign and self.types is None and "weight" not in leaf:
            return f"not a weight by its name (Prunable(types=...) with {path_of(type(owner))} prunes it)"
        if parameter.dim() < 2:
            return f"not a weight matrix ({parameter.dim()} dimensions)"
        return None

    def _unnamed(self, tensor: Owned) -> str:
        """The layer class that the user would have to name to prune a matrix. Empty if naming it would not help."""
        one = tensor.parameter
        excluded = any(matches(tensor.name, pattern) for pattern in self.exclude)
        if self.types is not None or not one.requires_grad or one.dim() < 2 or excluded or reason_of_storage(one):
            return ""
        if self.include and not any(matches(tensor.name, pattern) for pattern in self.include):
            return ""
        for owner, leaf in tensor.owners:
            if reason_of_parametrization(owner, leaf):
                return COMPUTED
            if "bias" in leaf or isinstance(owner, (*_NORMALIZATIONS, *_EMBEDDINGS)):
                return ""
            if self._reason_of_owner(owner, leaf, one):
                return path_of(type(owner))
        return ""

    def _check_patterns(self, names: list[str]) -> None:
        for argument in ("include", "exclude"):
            for pattern in getattr(self, argument):
                if not any(matches(name, pattern) for name in names):
                    raise UserError(
                        f"Prunable({argument}=[{pattern!r}]) matches no parameter. The parameters are: "
                        f"{_first(names, 12)}."
                    )


def _refuse_uninitialized(module: nn.Module, tensors: list[Owned]) -> None:
    lazy = [tensor.name for tensor in tensors if isinstance(tensor.parameter, UninitializedParameter)]
    if lazy:
        raise UserError(
            f"{type(module).__name__} has lazy layers that are not initialized: {_first(lazy, 8)}. Run one batch "
            "through it before the fit, or at the end of its configure_model."
        )


def _several(given: object) -> object:
    """Wrap a single class or a single pattern, so that it becomes a sequence."""
    return (given,) if isinstance(given, type) else [given] if isinstance(given, str) else given


def _first(names: list[str], count: int) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def _nothing_prunable(module: nn.Module, skipped: tuple[Skipped, ...]) -> str:
    listed = _first([f"{one.name} ({one.reason})" for one in skipped], 8) or "it has no parameters at all"
    return (
        f"{type(module).__name__} has nothing to prune: {listed}. Give IterativePruning(prunable=Prunable(types=..., "
        "include=..., exclude=...)) that selects at least one weight."
    )
