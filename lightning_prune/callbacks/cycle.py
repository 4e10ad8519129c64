"""What a cycle is, and the one extra hook: ``on_cycle_start``.

``IterativePruning`` calls ``on_cycle_start(trainer, pl_module, cycle)`` on every
callback that defines it and on the LightningModule where it defines it (there
``on_cycle_start(cycle)`` will do, as Lightning's own hooks have it): after the
weights were pruned and before the first batch of the cycle. What it changes in
the weights is masked once more afterwards. A retraining variant of your own
needs nothing else. A callback that has to see the weights before they are pruned
defines ``on_prune_start(trainer, pl_module)``, which comes right before.
"""

from dataclasses import dataclass
from inspect import signature
from typing import Any

import lightning.pytorch as pl


@dataclass(frozen=True)
class Cycle:
    """One training at one sparsity.

    Args:
        index: Its number; cycle 0 is the dense run, for which the hook is not called.
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


def announce(trainer: "pl.Trainer", cycle: Cycle) -> None:
    """Call ``on_cycle_start`` on the callbacks and on the LightningModule, where they define it.

    Args:
        trainer: The trainer.
        cycle: The cycle that begins.
    """
    module = trainer.lightning_module
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _call(getattr(callback, "on_cycle_start", None), trainer, module, cycle)
    hook = getattr(module, "on_cycle_start", None)
    takes_all = callable(hook) and len(signature(hook).parameters) == 3
    _call(hook, *((trainer, module, cycle) if takes_all else (cycle,)))


def announce_prune(trainer: "pl.Trainer") -> None:
    """Call ``on_prune_start`` on the callbacks that define it.

    Args:
        trainer: The trainer, whose weights are about to be pruned.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        _call(getattr(callback, "on_prune_start", None), trainer, trainer.lightning_module)


def _call(hook: Any, *arguments: Any) -> None:
    if callable(hook):
        hook(*arguments)
