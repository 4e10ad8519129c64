"""Train with parameters of normalization layers that lie between their initial values and the trained ones."""

from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.selection.layer_types import is_normalization
from lightning_prune.selection.sharding import is_sharded

_INITIAL = {"weight": 1.0, "bias": 0.0}


class NormInterpolation(CycleCallback):
    """Train every batch with norms between a new network's and the trained ones, so that signs alone carry a ticket.

    For each batch one number ``a`` is drawn from [0, 1). All normalization layers in train mode then work with the
    scale ``a + (1 - a) * weight`` and the shift ``(1 - a) * bias``, in the dense run and in all cycles. Their own
    parameters are trained through these. Layers in eval mode, and thus validation, use their own parameters. So do
    criteria and ``EstimateBatchNorm``. The draw depends on the seed and the step only. It is the same on every process,
    and leaves the random generators as they were.

    Networks that were pruned like this are the tickets of AWS: :class:`SignedReinitialize` then starts from their
    signs. Every other starting point goes with it, too.

    Reference: Oh, Baik & Lee, Find A Winning Sign: Sign Is All We Need to Win the Lottery, 2025,
    https://arxiv.org/abs/2504.05357. One number for all layers, and new norms of ones and zeros, are as in the authors'
    code.

    Args:
        seed: Decides the draw, at least 0.

    Raises:
        ValueError: If ``seed`` is no seed. When the fit starts, if there is no normalization layer with parameters, if
            they are sharded, or if a part of the network is compiled, which would be compiled again for every number.

    Example:
        >>> from lightning_prune import IterativePruning, LRRewind
        >>> callbacks = [IterativePruning(cycles=15), LRRewind(to=0), NormInterpolation()]
    """

    def __init__(self, seed: int = 0) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise UserError(f"NormInterpolation(seed={seed!r}) is no seed: give a whole number of at least 0.")
        self.seed = seed
        self._share = Share()
        self._handles: list[RemovableHandle] = []

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._refuse(pl_module)
        self._handles = interpolate_(pl_module, self._share)

    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.clock.step, "norms"))
        self._share.initial = float(torch.rand((), generator=generator))

    def on_train_batch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", *_: Any) -> None:
        self._share.initial = 0.0

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._stop()

    def on_exception(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", exception: BaseException) -> None:
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def _stop(self) -> None:
        self._share.initial = 0.0
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _refuse(self, module: nn.Module) -> None:
        parameters = [one for layer in normalizations(module) for one in layer.parameters(recurse=False)]
        if not parameters:
            raise UserError(
                f"NormInterpolation has nothing to interpolate: {type(module).__name__} has no normalization layer "
                "with parameters. Leave it out."
            )
        if any(map(is_sharded, parameters)):
            raise UserError("NormInterpolation changes whole parameters, and these are sharded: train with DDP.")
        if any("_orig_mod" in name for name, _ in module.named_modules()):
            raise UserError(
                "NormInterpolation uses another number in every batch, for which torch.compile would compile again "
                "each time. Leave out torch.compile."
            )


@dataclass
class Share:
    """How much of the initial parameters is used, in [0, 1)."""

    initial: float = 0.0


@dataclass
class _Mixer:
    """Two hooks of a layer: they put interpolated parameters in the place of its own for one forward pass."""

    share: Share
    own: dict[str, nn.Parameter | None] = field(default_factory=dict)

    def mix(self, layer: nn.Module, inputs: Any) -> None:
        if not layer.training or not self.share.initial:
            return
        self.own = {name: one for name in _INITIAL if (one := layer._parameters.get(name)) is not None}
        for name, one in self.own.items():
            layer._parameters[name] = between(_INITIAL[name], one, self.share.initial)  # type: ignore[assignment, arg-type]

    def put_back(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        layer._parameters.update(self.own)
        self.own = {}


def between(initial: float, trained: Tensor, share: float) -> Tensor:
    """Interpolate between an initial value and trained ones.

    Args:
        initial: The initial value of all entries.
        trained: The trained values.
        share: How much of the initial value is used, in [0, 1].

    Example:
        >>> between(1.0, torch.tensor([3.0, 1.0]), share=0.25)
        tensor([2.5000, 1.0000])
    """
    return share * initial + (1 - share) * trained


def interpolate_(module: nn.Module, share: Share) -> list[RemovableHandle]:
    """Let the normalization layers of a network work with interpolated parameters in train mode.

    Args:
        module: The network. Its parameters, their names and its ``state_dict`` stay as they are.
        share: Read in every forward pass.

    Returns:
        Handles that undo it.

    Example:
        >>> layer, share = nn.LayerNorm(2), Share()
        >>> with torch.no_grad():
        ...     _ = layer.weight.fill_(3.0)
        >>> handles = interpolate_(layer, share)
        >>> share.initial = 0.5
        >>> layer(torch.tensor([-1.0, 1.0])).round().tolist(), layer.weight.tolist()
        ([-2.0, 2.0], [3.0, 3.0])
    """
    handles = []
    for layer in normalizations(module):
        mixer = _Mixer(share)
        handles += [layer.register_forward_pre_hook(mixer.mix)]
        handles += [layer.register_forward_hook(mixer.put_back, always_call=True)]
    return handles


def normalizations(module: nn.Module) -> list[nn.Module]:
    """The normalization layers of a network.

    Args:
        module: The network.

    Example:
        >>> [type(one).__name__ for one in normalizations(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))]
        ['BatchNorm1d']
    """
    return [layer for layer in module.modules() if is_normalization(type(layer))]
