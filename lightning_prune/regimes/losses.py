"""What is measured of a network on a batch: its classification error, its loss, or a function of the user."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.gathering.training_steps import loss_in
from lightning_prune.regimes.steady_batches import size_of
from lightning_prune.regimes.sums import in_double, total

Measure = Callable[[Any, Any], Tensor | None]
Metric = Literal["error", "loss"] | Measure
_HELP = "give a function: metric=lambda module, batch: loss_of(module(batch[0]), batch[1])"


def measure_of(metric: Metric, module: nn.Module, asker: str) -> Measure:
    """Find the function of a metric.

    Args:
        metric: ``"error"``, ``"loss"``, or a function that maps a module and a batch to a tensor.
        module: The module that is measured.
        asker: What asks, for the errors.

    Raises:
        ValueError: If the name is unknown, or the module has no ``training_step`` for its loss.
    """
    if callable(metric):
        return metric
    if metric == "error":
        return classification_error
    if metric != "loss":
        raise UserError(f"{asker}(metric={metric!r}) is unknown: give 'error', 'loss', or a function.")
    if not isinstance(module, everywhere(pl.LightningModule)) or not module.automatic_optimization:
        raise UserError(
            f"{asker}(metric='loss') asks the training_step of a LightningModule for its loss, and "
            f"{type(module).__name__} returns none: {_HELP}."
        )
    return training_loss


def mean_over(measure: Measure, module: nn.Module, batches: Iterable[tuple[Any]]) -> float:
    """Average a measure over the examples of all processes.

    Args:
        measure: Maps the module and a batch to a tensor of any shape, whose mean is taken. None leaves the batch out.
        module: The module.
        batches: The batches of this process, each in a tuple.
    """
    sizes: list[int] = []
    sums: list[Tensor] = []
    for (batch,) in batches:
        if (value := measure(module, batch)) is not None:
            sizes.append(size_of(batch))
            sums.append(in_double(value).mean() * sizes[-1])
    summed = float(torch.stack(sums).sum()) if sums else 0.0
    summed, count = total(torch.tensor([summed, sum(sizes)], dtype=torch.float64)).tolist()
    return float(summed / count) if count else float("nan")


def classification_error(module: nn.Module, batch: Any) -> Tensor:
    """Which examples of a batch of inputs and labels get another class than their label.

    Args:
        module: Maps inputs to class scores ``[N, classes, ...]``.
        batch: Inputs and labels ``[N, ...]``.

    Returns:
        A boolean tensor of the shape of the labels.

    Raises:
        ValueError: If batch or scores have another form.

    Example:
        >>> classification_error(nn.Identity(), (torch.eye(2), torch.tensor([0, 0])))
        tensor([False,  True])
    """
    if not isinstance(batch, Sequence) or len(batch) < 2:
        raise UserError(
            f"metric='error' needs batches of inputs and labels, and found a {type(batch).__name__}: {_HELP}."
        )
    scores, labels = module(batch[0]), batch[1]
    fits = isinstance(scores, Tensor) and scores.dim() > 1 and scores.shape[1] > 1
    if not fits or labels.shape != scores.argmax(1).shape:
        raise UserError(
            f"metric='error' compares class scores [N, classes] with labels [N], and {type(module).__name__} maps a "
            f"batch to {_form(scores)} with labels {_form(labels)}: {_HELP}."
        )
    wrong: Tensor = scores.argmax(1) != labels
    return wrong


def training_loss(module: Any, batch: Any) -> Tensor | None:
    """The loss that ``training_step`` returns for a batch. None if it has none.

    Args:
        module: The LightningModule.
        batch: The batch.

    Raises:
        ValueError: If ``training_step`` needs a trainer, and the module has none.
    """
    takes_index = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
    try:
        return loss_in(module.training_step(batch, 0) if takes_index else module.training_step(batch))
    except RuntimeError as error:
        if "not attached to a `Trainer`" not in str(error):
            raise
        raise UserError(
            f"metric='loss' asks the training_step of {type(module).__name__}, which looks at its trainer and has "
            f"none: {_HELP}."
        ) from error


def _form(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
