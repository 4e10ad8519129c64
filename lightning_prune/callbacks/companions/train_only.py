"""Train only some kinds of parameters in the cycles, while all others stand still."""

from collections.abc import Sequence

import lightning.pytorch as pl
from torch import nn
from torch.optim import LBFGS, Optimizer

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.masks.optimizer_state import reset_
from lightning_prune.selection.layer_types import is_normalization
from lightning_prune.selection.parameters import matches, plain_name


class Still(CycleCallback):
    """The common base of callbacks that let some parameters stand still in the cycles."""

    def forget(self) -> None:
        self._still: list[nn.Parameter] = []

    def on_cycle_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: Cycle) -> None:
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, LBFGS):  # its one history of all parameters would move them
                reset_(optimizer)

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        self._drop_gradients()

    def on_after_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if not pl_module.automatic_optimization:  # an optimizer inside another one steps unseen
            self._drop_gradients()

    def _drop_gradients(self) -> None:
        # Not requires_grad: DDP waits for the gradients of all parameters that it was made with.
        if self.clock.cycle is not None:
            for parameter in self._still:
                parameter.grad = None


class TrainOnly(Still):
    """Train only some parameters in the cycles, and all of them in the dense run.

    The other parameters have no gradient at the optimizer's step, so the optimizer leaves them out. Neither momentum
    nor weight decay moves them, and their optimizer state stays as it is. Parameter groups, ``requires_grad`` and the
    exchange between processes are as without this callback. The backward pass takes as long as without it. Running
    statistics of BatchNorm are no parameters. They go on in train mode.

    Reference: Zimmer, Andoni, Spiegel & Pokutta, PERP: Rethinking the Prune-Retrain Paradigm in the Era of LLMs, 2023,
    https://arxiv.org/abs/2312.15230. Its low-rank adapters are :class:`MaskedLoRA` and
    :class:`ScaledLoRA`.

    Args:
        parts: The parameters that are trained. ``"norm"``: the parameters of normalization layers. ``"bias"``: all
            biases, also the biases of normalization layers. ``"head"``: the last layer, in the order of the module,
            that has a weight matrix. Any other text is a pattern for names of parameters, with ``*`` and ``?`` as in
            file names. The name of a module stands for all parameters in the module.

    Raises:
        ValueError: If there is no part. When the fit starts, if a part names no parameter.

    Example:
        >>> network = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
        >>> sorted(parameters_of(network, TrainOnly(parts=["norm", "2.weight"]).parts))
        ['1.bias', '1.weight', '2.weight']
    """

    def __init__(self, parts: Sequence[str] = ("norm", "bias", "head")) -> None:
        if isinstance(parts, str) or not parts or not all(isinstance(part, str) for part in parts):
            raise UserError(f"TrainOnly(parts={parts!r}) has to be a list of names, such as ['norm', 'bias', 'head'].")
        self.parts = parts
        self.forget()

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        trained = parameters_of(pl_module, self.parts)
        self._still = [one for name, one in pl_module.named_parameters() if plain_name(name) not in trained]


def parameters_of(module: nn.Module, parts: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters that belong to any of several parts.

    Args:
        module: The network.
        parts: ``"norm"``, ``"bias"``, ``"head"``, or patterns for names.

    Returns:
        The parameters by name, in the order of the module.

    Raises:
        ValueError: If a part names no parameter.

    Example:
        >>> list(parameters_of(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), ["bias", "head"]))
        ['0.bias', '1.bias', '2.weight', '2.bias']
    """
    named = {plain_name(name): one for name, one in module.named_parameters()}
    kinds = {"norm": _of_normalizations(module), "bias": _biases(module), "head": _of_head(module)}
    chosen: set[str] = set()
    for part in parts:
        kind = kinds.get(part)
        found = {n for n, one in named.items() if (matches(n, part) if kind is None else id(one) in kind)}
        if not found:
            raise UserError(
                f"TrainOnly(parts=[..., {part!r}, ...]) names no parameter of {type(module).__name__}. Give 'norm', "
                f"'bias' or 'head' where there are such, or a pattern for the names, which are: {', '.join(named)}."
            )
        chosen |= found
    return {name: one for name, one in named.items() if name in chosen}


def _of_normalizations(module: nn.Module) -> set[int]:
    layers = [layer for layer in module.modules() if is_normalization(type(layer))]
    return {id(parameter) for layer in layers for parameter in layer.parameters(recurse=False)}


def _biases(module: nn.Module) -> set[int]:
    return {id(one) for name, one in module.named_parameters() if "bias" in name.rpartition(".")[2]}


def _of_head(module: nn.Module) -> set[int]:
    own = [list(layer.parameters(recurse=False)) for layer in module.modules()]
    heads = [parameters for parameters in own if any(one.dim() > 1 for one in parameters)]
    return {id(parameter) for parameter in heads[-1]} if heads else set()
