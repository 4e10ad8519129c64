"""Find out who looks at the gradients before a step: dead weights have no part in what is made of them."""

from collections.abc import Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.optim import Optimizer

from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.masks.optimizer_state import is_elementwise


class GradientReaders:
    """Knows whether anybody looks at the gradients before a step, or the step mixes them.

    The hooks of the module and of the callbacks are looked through once an epoch, and when the callbacks change.
    """

    def __init__(self) -> None:
        self._callbacks: list[Callback] = []
        self._epoch = -1
        self._hooked = False

    def are_there(self, trainer: "pl.Trainer", optimizer: Optimizer) -> bool:
        """Whether there are any.

        Args:
            trainer: The trainer.
            optimizer: The optimizer that is about to step.

        Returns:
            False only where masking the gradients would change nothing but the moments of dead weights.
        """
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if trainer.current_epoch != self._epoch or callbacks != self._callbacks:
            self._epoch, self._callbacks = trainer.current_epoch, [*callbacks]
            self._hooked = _are_hooked(trainer.lightning_module, callbacks)
        return self._hooked or bool(trainer.gradient_clip_val) or not is_elementwise(optimizer)


def _are_hooked(module: "pl.LightningModule", callbacks: Sequence[Callback]) -> bool:
    """Whether there is a hook that is called with the gradients of a step."""
    return (
        _overrides(module, "configure_gradient_clipping")
        or _overrides(module, "on_before_optimizer_step")
        or any(map(_looks, callbacks))
    )


def _overrides(module: "pl.LightningModule", hook: str) -> bool:
    parent = next((cls for cls in everywhere(pl.LightningModule) if isinstance(module, cls)), None)
    return is_overridden(hook, module, parent)


def _looks(callback: Callback) -> bool:
    ours = type(callback).__module__.startswith("lightning_prune.callbacks")
    hook = callback.on_before_optimizer_step
    written = getattr(hook, "__func__", None)  # a LambdaCallback has it on the object
    empty = written in [cls.on_before_optimizer_step for cls in everywhere(Callback)]
    return callable(hook) and not ours and not empty  # a hook that is skipped is None
