"""The parts of a fit, and the answers and acts that take several of them."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_prune.basics.saved_state import FORMAT
from lightning_prune.callbacks.fit.ending import Ending
from lightning_prune.callbacks.fit.record import Record
from lightning_prune.callbacks.fit.trained import Trained, leave_out
from lightning_prune.callbacks.masking.hold import Hold
from lightning_prune.callbacks.masking.processes import check_agreement
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.masks.ticket import ticket_of, write_ticket
from lightning_prune.selection.parameters import plain_name


@dataclass
class PartsOfFit:
    """The parts of a fit.

    Attributes:
        at: The position of the fit.
        timeline: When the cycles begin.
        pruner: The owner of the masks, which decides them, too.
        hold: The object that keeps dead weights at zero.
        record: The written record of the fit.
        trained: The parameters that an optimizer holds and that got a gradient.
        scheduled: The sparsity of each cycle.
        optimizer_state: The treatment of the optimizers' state at a prune.
        ending: When the phases and the fit end.
        to_rehearse: The sparsities that have yet to be shown to be possible.
        epoch_began: When the epoch began, in seconds of a clock that only counts on.
        caught_up: Lightning's epoch in which everything that begins with it has begun.
        shown: Whether the last network is validated and saved. False where the last cycle has no length.
    """

    at: Position
    timeline: Timeline
    pruner: Pruner
    hold: Hold
    record: Record
    trained: Trained
    scheduled: Callable[[int], float]
    optimizer_state: str
    ending: Ending
    to_rehearse: Sequence[float] = ()
    epoch_began: float = field(default_factory=time.perf_counter)
    caught_up: int | None = None
    shown: bool = True

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors."""
        return {
            "format": FORMAT,
            "settings": self.record.settings,
            "position": self.at.state_dict(),
            **self.pruner.state_dict(),
            "evidence": self.pruner.gatherer.state_dict(),
            "cycles": self.record.cycles,
            "trained": self.trained.state_dict(),
            "stops": self.ending.stops.state_dict(),
        }

    def measured_sparsity(self) -> float:
        """The fraction that is dead: by the masks while they hold, later by the weights."""
        tally = self.pruner.tally()
        if self.hold.is_on or self.hold.is_cut or (zeros := self.hold.zeros()) == tally.size - tally.alive:
            return tally.sparsity
        return zeros / tally.size

    def is_laid_over(self, module: "pl.LightningModule") -> bool:
        """Whether a module carries the zeros of the masks of this fit."""
        return self.hold.is_laid_over({plain_name(name): one for name, one in module.named_parameters()})

    def write_ticket(self, path: str | Path, states: Mapping[str, dict[str, Any]]) -> None:
        """Write a ticket, on one process for all.

        Args:
            path: The file.
            states: The states of the callbacks by their names.
        """
        if self.record.writes:
            write_ticket(path, ticket_of(states, self.pruner.tally().shapes))

    def hold_agreed(self, trainer: "pl.Trainer") -> None:
        """Hold the masks of the pruner from now on. All processes have to agree on them.

        Raises:
            RuntimeError: If the processes have different masks. No mask is applied then.
        """
        check_agreement(trainer, self.pruner.masks)
        self.hold.use(self.pruner.held())

    def leave_untrained(self, trainer: "pl.Trainer", masked: Container[str] = ()) -> Mapping[str, str]:
        """Leave out of the selection what nobody trains, and say why."""
        reasons = self.trained.reasons(self.pruner.weights, masked)
        if reasons and (self.timeline.cycles or len(reasons) < len(self.pruner.weights)):
            self.record.selected = leave_out(self.record.selected, reasons, type(trainer.lightning_module).__name__)
            self.pruner.keep(self.record.selected.weights)
            self.record.cover(self.pruner.covered)
        return reasons
