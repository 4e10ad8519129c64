"""The two networks that are compared: modules as they are, or checkpoints that are loaded into copies of one."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_prune.basics.checkpoints import read_checkpoint
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.traceless import module_kept, silence
from lightning_prune.selection.parameters import plain_name
from lightning_prune.selection.sharding import is_sharded

Given = nn.Module | str | Path


def network_of(given: Given, network: nn.Module | None, asker: str) -> nn.Module:
    """Take a module as it is, or load a checkpoint into a copy of a module.

    Args:
        given: A module, or the path of a checkpoint.
        network: A module like that in the checkpoint. It is copied, and stays as it is.
        asker: What asks, for the errors.

    Raises:
        ValueError: If a checkpoint comes without a module or is of another one, or weights are sharded.
    """
    if isinstance(given, nn.Module):
        found = given
    elif network is None:
        raise UserError(
            f"{asker} was given the checkpoint '{given}' and does not know its network: give a module like it, "
            f"{asker}(..., network=MyModule())."
        )
    else:
        found = copy.deepcopy(network)
        _load_(found, given, asker)
    if any(map(is_sharded, found.parameters())):
        raise UserError(
            f"{asker} needs whole weights, and those of {type(found).__name__} are sharded. Give checkpoints."
        )
    return found


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name, without the prefixes of ``torch.compile``.

    Example:
        >>> sorted(tensors_of(nn.BatchNorm1d(1)))
        ['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight']
    """
    return {plain_name(name): tensor for name, tensor in [*module.named_parameters(), *module.named_buffers()]}


@contextmanager
def at_rest(*modules: nn.Module, seed: int = 0) -> Iterator[None]:
    """Let modules be evaluated without gradients, and put back what that changes: also modes and random states.

    Args:
        modules: The modules.
        seed: Decides what is drawn in the meantime, in [0, 2^63).
    """
    with ExitStack() as undo:
        for module in dict.fromkeys(modules):
            undo.enter_context(module_kept(module, seed))
            silence(module)
            module.eval()
        undo.enter_context(torch.no_grad())
        yield


def _load_(module: nn.Module, path: str | Path, asker: str) -> None:
    saved = read_checkpoint(path, asker)
    state = {plain_name(name): value for name, value in saved.get("state_dict", saved).items()}
    tensors = {plain_name(name): one for name, one in module.state_dict().items() if isinstance(one, Tensor)}
    wrong = [name for name, one in tensors.items() if name not in state or state[name].shape != one.shape]
    if wrong := [*wrong, *(name for name in state if name not in tensors and isinstance(state[name], Tensor))]:
        raise UserError(
            f"{asker}: '{path}' is the checkpoint of another network than {type(module).__name__}: {wrong[0]!r} is "
            "missing in one of them, or has another shape. Give network=... as it was trained."
        )
    with torch.no_grad():
        for name, one in tensors.items():
            one.copy_(state[name])
