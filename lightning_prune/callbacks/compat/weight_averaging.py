"""Start an averaged model again from the pruned model at each prune."""

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import everywhere


def begin_averages_again(trainer: "pl.Trainer") -> None:
    """Let the averages of ``WeightAveraging`` and its like start afresh from the pruned network.

    An average over networks of different sparsity has none of theirs. Started from masked weights, every later average
    is zero where they are.

    Args:
        trainer: The trainer.
    """
    for average in averages_of(trainer):
        _begin_again(average, trainer.lightning_module)


def put_back_averages(trainer: "pl.Trainer", saved: Mapping[str, Tensor]) -> None:
    """Put an average back as it was saved.

    For a validation Lightning swaps weights and average. If the weights have another type, such as bfloat16, the
    average comes back rounded. The validation before training would round the average of a resumed run only.

    Args:
        trainer: The trainer.
        saved: The average by the names of the module's state. Empty if the checkpoint has no average.
    """
    for average in averages_of(trainer) if saved else ():
        own = average.module.state_dict()
        for name in own.keys() & saved.keys():
            own[name].copy_(saved[name])


def refuse_stochastic_averaging(callbacks: list[Callback], asker: str = "IterativePruning") -> None:
    """Refuse Lightning's older averaging, which also takes over learning rates and the end of the fit.

    Args:
        callbacks: The callbacks of the fit.
        asker: The class of the callback that cannot stand beside it, for the error.

    Raises:
        ValueError: If it is among them.
    """
    if any(isinstance(callback, everywhere(StochasticWeightAveraging)) for callback in callbacks):
        raise UserError(
            f"StochasticWeightAveraging and {asker} cannot go together: it replaces the learning-rate schedules, moves "
            "the end of the fit, and averages networks of different masks. Use WeightAveraging or EMAWeightAveraging "
            "instead: their average starts afresh whenever masks change."
        )


def averages_of(trainer: "pl.Trainer") -> list[AveragedModel]:
    """The averaged models of ``WeightAveraging`` and its like in a fit.

    Args:
        trainer: The trainer.
    """
    found = [getattr(one, "_average_model", None) for one in trainer.callbacks]  # type: ignore[attr-defined]
    return [one for one in found if isinstance(one, AveragedModel)]


def _begin_again(average: AveragedModel, module: "pl.LightningModule") -> None:
    with torch.no_grad():
        theirs = [*average.module.parameters(), *average.module.buffers()]
        for tensor, current in zip(theirs, [*module.parameters(), *module.buffers()], strict=True):
            tensor.copy_(current)
        average.n_averaged.zero_()
