"""Find the learning rates of a dense run without training: step copies of the user's own schedules."""

import copy
import warnings
from typing import Any

import lightning.pytorch as pl
import torch

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.policies.tape import Tape, read_rates
from lightning_prune.callbacks.timing.step_counts import steps_per_epoch
from lightning_prune.callbacks.timing.timeline import in_steps
from lightning_prune.schedules.durations import Duration


def rehearse_rates(trainer: "pl.Trainer", length: Duration) -> Tape:
    """Step copies of the schedulers of a fit through a dense run, as Lightning would.

    Args:
        trainer: The trainer, with its optimizers made and its data loaded.
        length: The length of the dense run.

    Returns:
        The rate of every parameter group at every step.

    Raises:
        ValueError: If the schedules depend on more than the number of steps, or an epoch has no known number.
    """
    _refuse_unforeseeable(trainer)
    per_epoch = steps_per_epoch(trainer)
    steps = in_steps(length, per_epoch, f"IterativePruning(dense_run='{length}')").amount
    optimizers, configs = _copies(trainer)
    tape = Tape()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of schedulers that step without their optimizers
        for step in range(steps):
            epoch, in_epoch = divmod(step, per_epoch or steps)
            tape.begin_epoch(epoch, step) if in_epoch == 0 else None
            tape.record(step, read_rates(optimizers))
            batch = min((in_epoch + 1) * trainer.accumulate_grad_batches, int(trainer.num_training_batches))
            _step(trainer, configs, "step", batch)
            if in_epoch + 1 == per_epoch:
                _step(trainer, configs, "epoch", epoch + 1)
    return tape


def _copies(trainer: "pl.Trainer") -> tuple[list[Any], list[Any]]:
    """Copies of the optimizers and the scheduler configurations, over the same parameters."""
    shared: dict[int, Any] = {id(trainer): trainer, id(trainer.lightning_module): trainer.lightning_module}
    for parameter in trainer.lightning_module.parameters():
        shared[id(parameter)] = parameter
    return copy.deepcopy((trainer.optimizers, trainer.lr_scheduler_configs), shared)


def _step(trainer: "pl.Trainer", configs: list[Any], interval: str, done: int) -> None:
    for config in configs:
        if config.interval == interval and done % config.frequency == 0:
            trainer.lightning_module.lr_scheduler_step(config.scheduler, None)


def _refuse_unforeseeable(trainer: "pl.Trainer") -> None:
    reason = None
    if not trainer.lightning_module.automatic_optimization:
        reason = "with manual optimization the module steps them itself"
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau or isinstance(config.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            reason = "ReduceLROnPlateau depends on what is measured while it trains"
    if reason is not None:
        raise UserError(
            f"IterativePruning(dense_run=...) cannot tell the learning rates of the dense run: {reason}. Give the "
            "checkpoint of a dense run that was made with IterativePruning(cycles=0), which records them."
        )
