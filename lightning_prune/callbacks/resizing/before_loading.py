"""Give the module of a trainer the sizes of a checkpoint before Lightning loads the weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
from torch import nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.weight_averaging import averages_of
from lightning_prune.shrinking.regrowth import note_sizes, sizes_of
from lightning_prune.shrinking.small_checkpoints import record_in, take_sizes_

_ASKER = "The checkpoint"


def begin_with_present_sizes(trainer: "pl.Trainer", module: nn.Module) -> Callable[[dict[str, Any]], None]:
    """Let a fit take the present sizes of its module as the whole ones, unless it resumes from a checkpoint.

    Args:
        trainer: The trainer of the fit that is set up.
        module: The module. It may be small from an earlier fit.

    Returns:
        What is to be called with the content of the checkpoint, before Lightning loads anything of it: the module
        becomes whole again as in the fit that the checkpoint is of, and then small as in the checkpoint.
    """
    sizes = sizes_of(module)
    note_sizes(module, None)

    def take(checkpoint: dict[str, Any]) -> None:
        averages = [average.module for average in averages_of(trainer)]
        for one in (module, *averages):
            note_sizes(one, sizes)
            take_sizes_(one, checkpoint, _ASKER)

    return take


def refuse_small(checkpoint: dict[str, Any]) -> None:
    """Refuse to resume from a checkpoint of a small network if nothing would make it smaller in the cycles to come.

    Args:
        checkpoint: The content of the checkpoint.

    Raises:
        ValueError: If its network is small.
    """
    if record_in(checkpoint, _ASKER) is not None:
        raise UserError(
            "The checkpoint is of a fit with Shrink(at='cycles'), whose network is small by now, and this fit has none "
            "among its callbacks. Add Shrink(at='cycles')."
        )


def take_sizes_when_loading(trainer: "pl.Trainer") -> Callable[[], object]:
    """Let the module of a validation, test or prediction take the sizes of the checkpoint that is loaded.

    Args:
        trainer: The trainer.

    Returns:
        What undoes it.
    """
    strategy = trainer.strategy
    load = strategy.load_checkpoint

    def sized(*args: Any, **options: Any) -> dict[str, Any]:
        found = load(*args, **options)
        take_sizes_(trainer.lightning_module, found, _ASKER)
        return found

    strategy.load_checkpoint = sized  # type: ignore[method-assign]
    return partial(vars(strategy).pop, "load_checkpoint", None)
