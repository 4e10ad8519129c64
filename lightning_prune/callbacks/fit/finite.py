"""Stop a run with NaN or infinite weights at the end of a phase."""

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.selection.sharding import whole
from lightning_prune.selection.unprunable import reason_of_storage


def refuse_diverged(module: "pl.LightningModule", cycle: Cycle | None) -> None:
    """Stop a run with NaN or infinite weights at the end of the dense run or of a cycle.

    All processes have to call it. It reads every trainable weight once.

    Args:
        module: The module, with its dead weights masked.
        cycle: The cycle that ends. None for the dense run.

    Raises:
        ValueError: If a trainable weight is NaN or infinite. The error names the first tensor.
    """
    trained = {name: weight for name, weight in module.named_parameters() if _is_trained(weight)}
    wrong = {name: count for name, weight in trained.items() if (count := count_not_finite(weight))}
    if wrong:
        phase = "The dense run" if cycle is None else f"Cycle {cycle.index}"
        name, count = next(iter(wrong.items()))
        more = f", and in {len(wrong) - 1} more tensors" if len(wrong) > 1 else ""
        raise UserError(
            f"{phase} ended with {count} weights of {name!r} that are NaN or infinite{more}, and the run stops here. "
            "It has probably diverged: lower the learning rate, or clip the gradients "
            "(Trainer(gradient_clip_val=...)). Checkpoints of this phase may hold such weights, too."
        )


@torch.no_grad()
def count_not_finite(tensor: Tensor) -> int:
    """Count the entries that are NaN or infinite.

    Args:
        tensor: A real or complex tensor of any shape. For a sharded tensor, all processes have to call this function.

    Returns:
        How many entries are not finite.

    Example:
        >>> count_not_finite(torch.tensor([1.0, float("nan"), float("inf")]))
        2
    """
    values = whole(tensor).detach()
    # A sum is one read, a third of what isfinite costs. The sum can overflow, hence the second look.
    if torch.isfinite(values.sum(dtype=torch.promote_types(values.dtype, torch.float32))):
        return 0
    return int(torch.count_nonzero(~values.isfinite()))


def _is_trained(weight: nn.Parameter) -> bool:
    return weight.requires_grad and not is_lazy(weight) and reason_of_storage(weight) is None
