"""What becomes of an optimizer's state when weights die: masked, reset or kept."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)

# Each weight's step depends on its own gradient alone, so the gradients of dead weights disturb nobody.
_ELEMENTWISE = {SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adadelta, Adagrad, ASGD, RMSprop, Rprop, SparseAdam}


def mask_moments_(optimizer: Optimizer, masks: Mapping[Tensor, Tensor]) -> None:
    """Set the moments of dead weights to zero, in place.

    Args:
        optimizer: The optimizer; every tensor in a weight's state with the weight's shape is a moment and is masked,
            but for what an optimizer that mixes weights keeps of a square weight's rows or columns: masked, it would
            no longer be the matrix that it takes roots of. LBFGS keeps the history of all weights in one, which is
            forgotten.
        masks: Masks by weight.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.grad = torch.ones(2)
        >>> optimizer.step()
        >>> mask_moments_(optimizer, {weight: torch.tensor([1, 0], dtype=torch.uint8)})
        >>> optimizer.state[weight]["momentum_buffer"]
        tensor([1., 0.])
    """
    if isinstance(optimizer, LBFGS):
        reset_(optimizer)
        return
    may_mix = not is_elementwise(optimizer)
    with torch.no_grad():
        for weight, mask in masks.items():
            for moment in optimizer.state.get(weight, {}).values():
                of_weight = isinstance(moment, Tensor) and moment.shape == weight.shape
                if of_weight and not (may_mix and _is_symmetric(moment)):
                    moment.mul_(mask)


def reset_(optimizer: Optimizer) -> None:
    """Forget everything the optimizer gathered, as if it were new; its parameter groups stay as they are."""
    optimizer.state.clear()
    if isinstance(optimizer, Adagrad):  # it has a state from the start, and in older torch no other way to get one
        optimizer.state.update(Adagrad([dict(group) for group in optimizer.param_groups], **optimizer.defaults).state)


def snapshot_of(optimizer: Optimizer) -> dict[int, Any]:
    """What an optimizer has gathered so far, in memory of its own on the CPU.

    Args:
        optimizer: The optimizer.

    Returns:
        The state of every parameter that has one, by the place of the parameter over all groups.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        >>> weight.grad = torch.ones(2)
        >>> optimizer.step()
        >>> before = snapshot_of(optimizer)
        >>> optimizer.step()
        >>> put_back_(optimizer, before)
        >>> optimizer.state[weight]["momentum_buffer"]
        tensor([1., 1.])
    """
    states = {place: optimizer.state.get(weight, {}) for place, weight in enumerate(_in_order(optimizer))}
    return {place: _moved(state, torch.device("cpu")) for place, state in states.items() if state}


def put_back_(optimizer: Optimizer, snapshot: Mapping[int, Any]) -> None:
    """Take an optimizer back to a snapshot of it; what its parameters have gathered since is forgotten.

    Args:
        optimizer: The optimizer; parameters that it got later start anew, and its groups stay as they are.
        snapshot: What :func:`snapshot_of` gave; left alone.
    """
    reset_(optimizer)
    groups = [group for group in optimizer.param_groups for _ in group["params"]]
    for place, (weight, group) in enumerate(zip(_in_order(optimizer), groups, strict=True)):
        if place not in snapshot:
            continue
        # As torch places them: a count of steps stays on the CPU but where a fused or captured step reads it.
        counted = bool(group.get("capturable") or group.get("fused"))
        where = {"step": weight.device if counted else torch.device("cpu")}
        optimizer.state[weight] = {
            name: _moved(value, where.get(name, weight.device)) for name, value in snapshot[place].items()
        }


def _in_order(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _moved(value: Any, device: torch.device) -> Any:
    """A copy of a state with its tensors elsewhere."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {name: _moved(inner, device) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(inner, device) for inner in value]
    return value


def has_skipped(optimizer: Optimizer) -> bool:
    """Whether the step that an optimizer ends with has changed nothing, because its gradients overflowed.

    Only a fused optimizer is asked to step all the same: it looks at the gradients itself. For the others the
    ``GradScaler`` looks, and leaves out the step.

    Args:
        optimizer: The optimizer, in a hook after its step.
    """
    found_inf = getattr(optimizer, "found_inf", None)
    return found_inf is not None and bool(found_inf)


def owned_by(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that an optimizer trains, in the order of its groups.

    Args:
        optimizer: The optimizer.

    Example:
        >>> owned_by(torch.optim.SGD([torch.ones(2)], lr=0.1))
        [tensor([1., 1.])]
    """
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether the step of each weight is known to depend on its own gradient alone.

    Args:
        optimizer: The optimizer.

    Returns:
        True for torch's elementwise optimizers; False for the others and for all that are not torch's own.
    """
    return type(optimizer) in _ELEMENTWISE


def _is_symmetric(moment: Tensor) -> bool:
    square = moment.dim() == 2 and moment.shape[0] == moment.shape[1] > 1
    return square and torch.allclose(moment, moment.T)
