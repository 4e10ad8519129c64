"""Let a small network load the states of the whole one, where these are zero in all that was removed."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.selection.parameters import plain_name
from lightning_prune.shrinking.shrink_record import ShrinkRecord, held_by, hold
from lightning_prune.shrinking.slices import Cut, cut


def keep_record(module: nn.Module, record: ShrinkRecord) -> None:
    """Keep a record with its small network, and let the network load checkpoints of the fit that it comes from.

    Such checkpoints have the shapes of the whole network. What was removed is cut away while they are loaded, if it is
    zero in them.

    Args:
        module: The small network.
        record: What was removed from it.
    """
    hooks = module._load_state_dict_pre_hooks.values()
    if not any(getattr(one, "hook", None) is _cut_whole_state for one in hooks):
        module.register_load_state_dict_pre_hook(_cut_whole_state)  # type: ignore[no-untyped-call]
    hold(module, record)


def _cut_whole_state(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Cut a state of the whole network in place. A state with other shapes is left to torch's own error.

    Raises:
        ValueError: If it has numbers where the small network has nothing.
    """
    record = held_by(module)
    if record is None:
        return
    own = {name: plain_name(name.removeprefix(prefix)) for name in state if name.startswith(prefix)}
    cut_here = {name: record.kept[plain] for name, plain in own.items() if plain in record.kept}
    if any(tuple(state[name].shape) != record.shapes[own[name]] for name in cut_here):
        return
    parameters = {plain_name(name) for name, _ in module.named_parameters(remove_duplicate=False)}
    alive = [name for name, by in cut_here.items() if own[name] in parameters and _has_numbers_outside(state[name], by)]
    if alive:
        raise UserError(
            f"This {type(module).__name__} is small, and the state is of the whole network before these units died: "
            f"{alive[0]} is not zero in what was removed. Load it into a new {type(module).__name__}."
        )
    state.update({name: cut(state[name], by) for name, by in cut_here.items()})


def _has_numbers_outside(tensor: Tensor, by: Cut) -> bool:
    """Whether a tensor has a number other than zero in what was removed from it."""
    removed = torch.zeros(tensor.shape, dtype=torch.bool)
    for dim, kept in by.items():
        gone = torch.ones(tensor.shape[dim], dtype=torch.bool)
        gone[kept] = False
        removed.index_fill_(dim, gone.nonzero().flatten(), True)
    return bool((tensor.detach().cpu()[removed] != 0).any())
