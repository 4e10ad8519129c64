"""The description of a cycle, and the extra hook ``on_cycle_start``.

``IterativePruning`` calls ``on_cycle_start(trainer, pl_module, cycle)`` on every
callback that defines the hook, and on the LightningModule if it defines the hook. A
LightningModule may define ``on_cycle_start(cycle)``, like Lightning's own hooks. The
hook is called after the weights were pruned and before the first batch of the cycle.
The masks are applied once more after the hook, so changed weights stay sparse. The hook
may save a checkpoint if the cycle begins with an epoch. Your own retraining variant
needs no other hook. A callback that has to see the weights before the prune defines
``on_prune_start(trainer, pl_module)``, which is called right before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature

import lightning.pytorch as pl


@dataclass(frozen=True)
class Cycle:
    """One training at one sparsity.

    Args:
        index: The number of the cycle. Cycle 0 is the dense run, for which the hook is not called.
        first_step: The optimizer step at which it begins, counted from the start of the fit.
        steps: How many optimizer steps it lasts.
        sparsity: The sparsity that the schedule asks for, in [0, 1).

    Example:
        >>> Cycle(index=1, first_step=660, steps=330, sparsity=0.2).density
        0.8
    """

    index: int
    first_step: int
    steps: int
    sparsity: float

    @property
    def density(self) -> float:
        """The fraction of the prunable weights that is left, in (0, 1]."""
        return 1 - self.sparsity


def listeners(trainer: "pl.Trainer", cycle: Cycle) -> list[Callable[[], object]]:
    """The calls of ``on_cycle_start`` on the callbacks and on the LightningModule, where they define it.

    Args:
        trainer: The trainer.
        cycle: The cycle that begins.

    Returns:
        The calls in their order.
    """
    module = trainer.lightning_module
    hooks = [getattr(callback, "on_cycle_start", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    calls: list[Callable[[], object]] = [partial(hook, trainer, module, cycle) for hook in hooks if callable(hook)]
    own = getattr(module, "on_cycle_start", None)
    if callable(own):
        takes_all = len(signature(own).parameters) == 3
        calls.append(partial(own, *((trainer, module, cycle) if takes_all else (cycle,))))
    return calls


def announce_prune(trainer: "pl.Trainer") -> None:
    """Call ``on_prune_start`` on the callbacks that define it.

    Args:
        trainer: The trainer, whose weights are about to be pruned.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        hook = getattr(callback, "on_prune_start", None)
        if callable(hook):
            hook(trainer, trainer.lightning_module)
