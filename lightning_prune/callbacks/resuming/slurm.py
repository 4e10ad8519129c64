"""Obey SLURM's signal to requeue at the end of a batch, where a checkpoint is complete."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from lightning_prune.callbacks.compat.namespaces import everywhere


class Requeue:
    """Holds the signal back until the batch is done.

    Lightning saves in the signal's handler, wherever the run happens to be: between a backward pass and its step, or
    within the step. A run that resumes from such a checkpoint misses a batch.

    Args:
        trainer: The trainer in ``on_train_start``, with its handlers registered.
    """

    def __init__(self, trainer: "pl.Trainer") -> None:
        self._received: tuple[Any, ...] | None = None
        self._handler: Callable[..., object] | None = None
        environment = trainer._accelerator_connector.cluster_environment
        in_main = threading.current_thread() is threading.main_thread()
        if isinstance(environment, everywhere(SLURMEnvironment)) and environment.auto_requeue and in_main:
            self._signal = environment.requeue_signal or signal.SIGUSR1
            handler = signal.getsignal(self._signal)
            if callable(handler):
                self._handler = handler
                signal.signal(self._signal, self._receive)

    @property
    def is_on(self) -> bool:
        """Whether a signal is held back."""
        return self._handler is not None

    def _receive(self, *arguments: Any) -> None:
        self._received = arguments

    def obey(self, trainer: "pl.Trainer") -> None:
        """Let Lightning save and requeue on all processes, if the signal came to one of them."""
        if self._handler is None:
            return
        received = self._received is not None
        if trainer.world_size > 1:
            flag = torch.tensor(float(received), device=trainer.strategy.root_device)
            received = bool(trainer.strategy.reduce(flag, reduce_op="sum"))
        if received:
            arguments, self._received = self._received or (self._signal, None), None
            self._handler(*arguments)

    def remove(self) -> None:
        """Give the signal back to Lightning."""
        if self._handler is not None:
            signal.signal(self._signal, self._handler)
            self._handler = None
