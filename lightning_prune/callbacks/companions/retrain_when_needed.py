"""Retrain a cycle only if its prune has cost too much."""

import time
from typing import Any, Literal

import lightning.pytorch as pl

from lightning_prune.basics.checks import check_at_least
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.gathering.validation_pass import validated
from lightning_prune.callbacks.starting_points.base import StartingPoint
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch
from lightning_prune.schedules.durations import Duration

Reference = Literal["original", "previous"]


class RetrainWhenNeeded(CycleCallback):
    """Validate the network after every prune, and leave out the training of the cycle if little was lost.

    A cycle that is left out has no epochs: the next prune follows at once. If nothing is lost to the end, the fit ends
    without the epochs of the last cycles. The pruned network is then validated and saved once more, as with
    ``IterativePruning(retrain="0ep")``. The decisions, the saved steps and the saved seconds are written into
    ``pruning.json``. The seconds are the saved steps at the mean time of a training step in this fit, less the time of
    the validations.

    A study trains all cycles of such an arm as one node, and can search for the threshold. A ``fast_dev_run`` trains
    all cycles.

    The authors decide by the accuracy on the test set. This callback decides by the module's own validation, so the
    test set stays unseen. It looks at the network right after the prune, before a repair (:class:`Reconstruct`) or
    another callback sets weights.

    Reference: Hu, Henderson & Cano, ICE-Pruning: An Iterative Cost-Efficient Pruning Pipeline for Deep Neural Networks,
    2025, https://arxiv.org/abs/2505.07411. The rule is that of the authors' code, where the reference is the original
    network.

    Args:
        threshold: How much of the metric may be lost, at least 0, in the units of the metric. A cycle is trained if it
            lost this much or more. 0.01 of an accuracy in [0, 1] is a point.
        monitor: The metric, a value that ``validation_step`` logs.
        mode: ``"max"`` if large values of the metric are good, ``"min"`` if small ones are.
        reference: The network that the pruned one is compared with. ``"original"``: the network at the end of the dense
            run, so losses add up until a cycle is trained. ``"previous"``: the network right before this prune.

    Raises:
        ValueError: If an argument is unknown or lies outside its range. When the fit starts, if the metric is not
            logged, if the cycles go by steps or lie inside the dense run, or if the cycles start from other weights
            than those that the prune has left (``WeightRewind``).

    Example:
        >>> from lightning_prune import IterativePruning, PruningAware
        >>> pruning = IterativePruning(cycles=27, retrain="1ep")
        >>> callbacks = [pruning, PruningAware(), RetrainWhenNeeded(0.005, monitor="val/accuracy")]
    """

    leaves_out_cycles = True

    def __init__(
        self,
        threshold: float = 0.01,
        monitor: str = "val/accuracy",
        mode: Literal["max", "min"] = "max",
        reference: Reference = "original",
    ) -> None:
        check_at_least(self, 0, {"threshold": threshold})
        if mode not in ("max", "min"):
            raise UserError(f"RetrainWhenNeeded(mode={mode!r}) is unknown: give 'max' or 'min'.")
        if reference not in ("original", "previous"):
            raise UserError(f"RetrainWhenNeeded(reference={reference!r}) is unknown: give 'original' or 'previous'.")
        self.threshold = threshold
        self.monitor = monitor
        self.mode = mode
        self.reference = reference
        self.forget()

    def forget(self) -> None:
        self._expected: float | None = None
        self._decisions: list[dict[str, Any]] = []
        self._trained = (0, 0.0)  # steps and their seconds, in this process
        self._began = (0, 0.0)
        self._validating = 0.0

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        lengths = {self.clock.cycle_length.unit, self.clock.dense_length.unit}
        if (self.clock.is_gradual or lengths != {"ep"}) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UserError(
                "RetrainWhenNeeded leaves out the epochs of cycles, and these cycles go by steps or lie inside the "
                "dense run. Give IterativePruning(retrain=...) and the dense run in epochs, without during."
            )
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, StartingPoint) and callback.rewind_point is not None:
                name = type(callback).__name__
                raise UserError(
                    f"RetrainWhenNeeded and {name} do not fit together: what {name} starts a cycle from has to be "
                    "trained. Leave out one of them."
                )
        self._measure(trainer, batches=1)  # or a misspelt metric would be found after the dense run

    def on_train_epoch_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._began = (self.clock.step, time.perf_counter())

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        (step, began), (steps, seconds) = self._began, self._trained
        if began:  # no epoch that was resumed in its middle
            self._trained = (steps + self.clock.step - step, seconds + time.perf_counter() - began)

    def on_prune_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if self._expected is None or self.reference == "previous":
            self._expected = self._measure(trainer)

    def length_of(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: int) -> Duration | None:
        found = self._measure(trainer)
        assert self._expected is not None
        lost = (self._expected - found) * (1 if self.mode == "max" else -1)
        needed = not lost < self.threshold or bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # NaN is trained
        self._decisions.append({"cycle": cycle, "lost": lost, "value": found, "retrained": needed})
        self._note(trainer)
        return None if needed else Duration(0, "ep")

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        self._note(trainer)

    def _measure(self, trainer: "pl.Trainer", batches: int | None = None) -> float:
        began = time.perf_counter()
        found = validated(trainer, self.monitor, type(self).__name__, batches)
        self._validating += time.perf_counter() - began
        return found

    def _note(self, trainer: "pl.Trainer") -> None:
        steps, seconds = self._trained
        left_out = sum(not one["retrained"] for one in self._decisions)
        saved = left_out * self.clock.cycle_length.amount * (steps_per_epoch(trainer) or 0)
        each = seconds / steps if steps else 0.0
        self.clock.note(
            "retraining",
            {
                "decisions": self._decisions,
                "cycles_left_out": left_out,
                "steps_saved": saved,
                "seconds_saved": saved * each - self._validating,
                "seconds_validating": self._validating,
            },
        )

    def state_dict(self) -> dict[str, Any]:
        return {"expected": self._expected, "decisions": list(self._decisions)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._expected, self._decisions = state_dict["expected"], list(state_dict["decisions"])
