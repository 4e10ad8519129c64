"""Let the clock call the policy's hooks of each batch right after its own: for Lightning to call them takes longer.

The policy comes right after the clock among the callbacks, so that nothing changes its place.
"""

from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch.callbacks import Callback

from lightning_prune.callbacks.compat.skipped_hooks import take_over
from lightning_prune.callbacks.policies.base import LearningRatePolicy

_HOOKS = ("on_train_batch_start", "on_before_optimizer_step")


class LedPolicy:
    """The hooks of the policy that the clock has to call.

    Attributes:
        batch_begins: Called at the end of the clock's ``on_train_batch_start``. None: Lightning calls it.
        step_begins: The same for ``on_before_optimizer_step``.
    """

    batch_begins: Callable[..., Any] | None = None
    step_begins: Callable[..., Any] | None = None

    def lead(self, clock: Callback, cls: type[Callback], callbacks: Iterable[Callback]) -> None:
        """Take over the hooks of the policy. Lightning calls those that a subclass of policy or clock writes.

        Args:
            clock: The clock.
            cls: The class that writes the hooks of the clock.
            callbacks: The callbacks of the fit.
        """
        own = [hook for hook in _HOOKS if getattr(type(clock), hook) is getattr(cls, hook)]
        policy = next((one for one in callbacks if isinstance(one, LearningRatePolicy)), None)
        if policy is not None and len(own) == len(_HOOKS):
            self.batch_begins, self.step_begins = take_over(policy, LearningRatePolicy, *_HOOKS)

    def let_go(self) -> None:
        """Leave all hooks to Lightning again."""
        self.batch_begins = self.step_begins = None
