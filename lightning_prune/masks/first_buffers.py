"""Keep a fused SGD from going on with momentum that was never written."""

from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.utils.hooks import RemovableHandle

from lightning_prune.masks.optimizer_state import has_skipped


def guard_first_buffers(optimizer: Optimizer) -> list[RemovableHandle]:
    """Let a fused SGD begin its momentum again if a ``GradScaler`` skips the step that would have begun it.

    torch makes the momentum buffers of ``SGD(fused=True)`` before the step, in memory that nobody has written. The
    step writes them, unless the gradients overflow. Then the next step adds its gradients to whatever was in the
    memory, which may be NaN. It happens at the first step of a training, where a scale is often too high, and at the
    first step after the state was reset. Here the buffers of such a step are dropped, as those of an unfused SGD.

    Args:
        optimizer: Any optimizer. If it is no fused SGD, it gets no hook.

    Returns:
        What takes the hooks away.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, fused=True)
        >>> handles = guard_first_buffers(optimizer)
        >>> scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        >>> scaler.scale(weight.sum() * float("inf")).backward()
        >>> _ = scaler.step(optimizer)
        >>> dict(optimizer.state)
        {}
    """
    if not isinstance(optimizer, SGD) or not any(group["fused"] for group in optimizer.param_groups):
        return []
    without: list[Tensor] = []

    def before_step(*_: object) -> None:
        scaled = getattr(optimizer, "found_inf", None) is not None  # set by a GradScaler, for the time of a step
        without[:] = _without_buffer(optimizer) if scaled else []

    def after_step(*_: object) -> None:
        if without and has_skipped(optimizer):  # in this order: the second one waits for the GPU
            for weight in without:
                optimizer.state.pop(weight, None)
        without.clear()

    return [optimizer.register_step_pre_hook(before_step), optimizer.register_step_post_hook(after_step)]


def _without_buffer(optimizer: SGD) -> list[Tensor]:
    """The parameters whose momentum has not begun. The buffer is all the state that SGD has of a parameter."""
    groups = [group for group in optimizer.param_groups if group["fused"] and group["momentum"]]
    state = optimizer.state
    return [one for group in groups for one in group["params"] if state.get(one, {}).get("momentum_buffer") is None]
