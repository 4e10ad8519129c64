"""Draw fresh weights for a network by the initialization of its layers, without a trace in the random state."""

from collections.abc import Iterator
from contextlib import nullcontext
from inspect import signature

import torch
from torch import Tensor, nn

from lightning_prune.basics.random_state import forked
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.starting_points.initializations import Initialization
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded
from lightning_prune.shrinking.briefly_small import briefly_small
from lightning_prune.shrinking.quiet_calls import explained


def fresh_weights_(
    module: nn.Module, seed: int, initialize: Initialization | None = None, living: LivingNetwork | None = None
) -> None:
    """Draw all weights again, in place. The same seed gives the same weights on every process.

    First every layer's ``reset_parameters`` is called, parents after children. The call also resets the running
    statistics of BatchNorm. Then ``init_weights`` of the module is called, if the module has it: ``init_weights()``, or
    ``init_weights(layer)`` for every layer. Otherwise that of the networks inside is called, such as those of timm and
    transformers. ``initialize`` is called last. If tensors are tied, the first layer
    decides. Frozen parameters (``requires_grad=False``) stay. The random generators are put back afterwards.

    Args:
        module: The network, or the LightningModule that holds it.
        seed: Decides the draw, at least 0.
        initialize: Called last, after the layers' own initialization. None: not called.
        living: Which units live. The weights are then those of the network without the dead units, drawn in its sizes,
            and zeros are in all other places. None: the whole network is drawn.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> fresh_weights_(layer, seed=3)
        >>> first = layer.weight.clone()
        >>> fresh_weights_(layer, seed=3)
        >>> torch.equal(layer.weight, first)
        True
    """
    small = nullcontext() if living is None else briefly_small(module, living.groups, living.alive)
    settled: set[Tensor] = set()
    with small, forked(seed), torch.no_grad():
        still = (one for one in module.parameters() if not one.requires_grad)
        frozen: dict[Tensor, Tensor] = {one: one.detach().clone() for one in still}
        for layer in _children_first(module, set()):
            _reset_(layer, settled)
        _initialize_(module)
        if initialize is not None:
            initialize(module)
        _put_(frozen)


def refuse_without_fresh_weights(
    module: nn.Module, owner: str, initialize: Initialization | None = None, living: LivingNetwork | None = None
) -> None:
    """Refuse a network if some weights would not be drawn again. The draw is tried, and everything is put back.

    Args:
        module: The network, or the LightningModule that holds it.
        owner: The class that asks, for the error.
        initialize: Called last, after the layers' own initialization. None: not called.
        living: The units of the network. A draw is then tried where one unit of every group is dead.

    Raises:
        ValueError: If a trained parameter keeps its value, or is spread over several devices. The error names the
            parameter. If the layers cannot draw the weights of a smaller network.

    Example:
        >>> refuse_without_fresh_weights(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "Reinitialize")
    """
    named = {plain_name(name): one for name, one in module.named_parameters()}
    trained = {name: one for name, one in named.items() if one.requires_grad}
    if sharded := [name for name, one in trained.items() if is_sharded(one)]:
        raise UserError(
            f"{owner} cannot draw weights that are spread over several devices: {', '.join(sharded[:8])}. Train with "
            "DDP, which holds them whole."
        )
    before = {one: one.detach().clone() for one in [*module.parameters(), *module.buffers()]}
    try:
        with torch.no_grad():
            for parameter in trained.values():
                parameter.fill_(torch.nan)
        _try(module, owner, initialize, living)
        kept = [name for name, one in trained.items() if one.isnan().any()]
    finally:
        _put_(before)
    if kept:
        raise UserError(
            f"{owner} cannot draw {', '.join(kept[:8])}{' and others' if len(kept) > 8 else ''} anew: neither a "
            "reset_parameters() of the layer that holds it nor the LightningModule's init_weights() sets it. Give the "
            f"layer a reset_parameters(), {type(module).__name__} an init_weights(), or {owner}(initialize=...) a "
            "function that does."
        )


def _try(module: nn.Module, owner: str, initialize: Initialization | None, living: LivingNetwork | None) -> None:
    if living is None:
        fresh_weights_(module, 0, initialize)
        return
    try:
        fresh_weights_(module, 0, initialize, living.without_last_units())
    except Exception as error:  # a layer of the user may raise anything
        raise UserError(
            f"{owner} draws the weights of {type(module).__name__} without its dead units, and with a unit less in "
            f"every group that fails: {explained(error)}. Let reset_parameters() and init_weights() take the sizes of "
            "the tensors, and not numbers that stay, or leave these groups out: Structures(exclude=[...])."
        ) from error


def _children_first(layer: nn.Module, seen: set[nn.Module]) -> Iterator[nn.Module]:
    if layer not in seen:
        seen.add(layer)
        for child in layer.children():
            yield from _children_first(child, seen)
        yield layer


def _reset_(layer: nn.Module, settled: set[Tensor]) -> None:
    own = list(layer.parameters(recurse=False))
    reset = getattr(layer, "reset_parameters", getattr(layer, "_reset_parameters", None))  # attention has the second
    if not callable(reset) or (own and not any(one.requires_grad for one in own)):
        return
    tied: dict[Tensor, Tensor] = {one: one.detach().clone() for one in own if one in settled}
    reset()
    _put_(tied)
    settled.update(own)


def _initialize_(module: nn.Module) -> None:
    initialize = getattr(module, "init_weights", None)
    if not callable(initialize):
        for child in module.children():  # networks of timm and transformers have one
            _initialize_(child)
        return
    given = [
        one
        for one in signature(initialize).parameters.values()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if any(one.default is one.empty for one in given):
        for layer in _children_first(module, set()):
            initialize(layer)
    else:
        initialize()


def _put_(values: dict[Tensor, Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in values.items():
            tensor.copy_(value)
