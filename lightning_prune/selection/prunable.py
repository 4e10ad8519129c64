"""What may be pruned: from a module to its prunable weights, and the reason for each tensor that is left alone."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

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
FROZEN = "frozen (requires_grad=False)"  # the reason of what could be pruned if it were trained
COMPUTED = "layers that compute their weights (parametrizations)"
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Skipped:
    """A tensor that is not pruned.

    Args:
        name: Its name in the module.
        weights: How many numbers it holds.
        reason: Why it is left alone, to be read after "not pruned:".
        layer: The class of its layer, if it is a trainable matrix that is left alone only because nobody named that
            class; empty for all others.
    """

    name: str
    weights: int
    reason: str
    layer: str = ""


@dataclass(frozen=True)
class Selected:
    """What a selection found.

    Args:
        weights: The prunable weights by name, in the order of the module.
        skipped: Every other parameter, with its reason.
    """

    weights: Mapping[str, nn.Parameter]
    skipped: tuple[Skipped, ...]


class Selection(ABC):
    """From a module to its prunable weights."""

    @abstractmethod
    def __call__(self, module: nn.Module) -> Selected:
        """Select.

        Args:
            module: The network, or the LightningModule that holds it.

        Returns:
            The prunable weights by name, and all other parameters with the reason.

        Raises:
            ValueError: If nothing is prunable, a pattern matches nothing, or a lazy layer is not initialised.
        """


@dataclass(frozen=True)
class Prunable(Selection):
    """Select by layer type and by name.

    As it stands: the weight of every convolution, linear layer, and recurrent or attention projection, and of two
    layers of transformers: ``Conv1D``, and stacked experts that say how they lie. Never a bias or a normalisation
    layer; embeddings on request. Tensors that are tied are one. Left alone is what a layer computes its weight from
    (``weight_norm``, ``spectral_norm``, any parametrization): what a criterion sees there is not what the layer
    multiplies with, and zeros need not stay zeros.

    Args:
        types: The layer types that are selected, instead of those above: all their matrices, whatever their names.
            One class will do for one type.
        include: Only tensors whose name matches one of these patterns: ``*`` and ``?`` as in file names, and the name
            of a module stands for everything in it. One string will do for one pattern.
        exclude: No tensor whose name matches one of these patterns.
        embeddings: Whether embeddings are selected, too.
        last_layer: Whether the last weight, in the order of the module, is selected: papers differ.
        first_layer: Whether the first one is.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        >>> selected = Prunable(last_layer=False)(network)
        >>> list(selected.weights)
        ['0.weight']
        >>> for skipped in selected.skipped:
        ...     print(f"{skipped.name}: {skipped.reason}")
        0.bias: a bias
        1.weight: a parameter of a normalisation layer (BatchNorm2d)
        1.bias: a parameter of a normalisation layer (BatchNorm2d)
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
                raise ValueError(f"Prunable(types={one!r}) is not a class: give the class of a layer, torch.nn.Linear.")

    def __call__(self, module: nn.Module) -> Selected:
        tensors = list(owned_parameters(module))
        _refuse_uninitialised(module, tensors)
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
            raise ValueError(_nothing_prunable(module, skipped))
        return Selected({tensor.name: tensor.parameter for tensor in prunable}, skipped)

    def _reason(self, tensor: Owned) -> str | None:
        """Why the tensor is not pruned; None if it is."""
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
        if isinstance(owner, _NORMALISATIONS):
            return f"a parameter of a normalisation layer ({layer})"
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
        """The class to name for a matrix to be pruned; empty if it is not for want of that that it stays dense."""
        one = tensor.parameter
        excluded = any(matches(tensor.name, pattern) for pattern in self.exclude)
        if self.types is not None or not one.requires_grad or one.dim() < 2 or excluded or reason_of_storage(one):
            return ""
        if self.include and not any(matches(tensor.name, pattern) for pattern in self.include):
            return ""
        for owner, leaf in tensor.owners:
            if reason_of_parametrization(owner, leaf):
                return COMPUTED
            if "bias" in leaf or isinstance(owner, (*_NORMALISATIONS, *_EMBEDDINGS)):
                return ""
            if self._reason_of_owner(owner, leaf, one):
                return path_of(type(owner))
        return ""

    def _check_patterns(self, names: list[str]) -> None:
        for argument in ("include", "exclude"):
            for pattern in getattr(self, argument):
                if not any(matches(name, pattern) for name in names):
                    raise ValueError(
                        f"Prunable({argument}=[{pattern!r}]) matches no parameter. The parameters are: "
                        f"{_first(names, 12)}."
                    )


def _refuse_uninitialised(module: nn.Module, tensors: list[Owned]) -> None:
    lazy = [tensor.name for tensor in tensors if isinstance(tensor.parameter, UninitializedParameter)]
    if lazy:
        raise ValueError(
            f"{type(module).__name__} has lazy layers that are not initialised: {_first(lazy, 8)}. Run one batch "
            "through it before the fit, or at the end of its configure_model."
        )


def _several(given: object) -> object:
    """One class or one pattern, which the user did not put between brackets, as several."""
    return (given,) if isinstance(given, type) else [given] if isinstance(given, str) else given


def _first(names: list[str], count: int) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def _nothing_prunable(module: nn.Module, skipped: tuple[Skipped, ...]) -> str:
    listed = _first([f"{one.name} ({one.reason})" for one in skipped], 8) or "it has no parameters at all"
    return (
        f"{type(module).__name__} has nothing to prune: {listed}. Give IterativePruning(prunable=Prunable(types=..., "
        "include=..., exclude=...)) that selects at least one weight."
    )
