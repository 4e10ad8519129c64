"""Whoever looks at gradients sees those of living weights only; whoever does not, pays nothing for it."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LambdaCallback
from policies_in_runs import SignOptimizer
from toys import STEPS, Images, Toy, fit, toy

from lightning_prune import IterativePruning, OneShot


def pruning():
    return IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.9))


def dead_gradients(module):
    """How many gradients of dead weights are not zero."""
    held = next(c for c in module.trainer.callbacks if isinstance(c, IterativePruning)).masks
    return sum(int(module.get_parameter(name).grad[mask == 0].count_nonzero()) for name, mask in held.items())


def test_the_norm_that_the_trainer_clips_by_is_that_of_the_living_weights():
    norms = []

    class Clips(Toy):
        def clip_gradients(self, optimizer, **options):
            if self.current_epoch == 4:
                norms.append(dead_gradients(self))
            super().clip_gradients(optimizer, **options)

    fit([pruning()], Clips(), gradient_clip_val=0.01)
    assert norms == [0] * STEPS


class Watches(Callback):
    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.current_epoch == 4:
            self.seen.append(dead_gradients(pl_module))


def test_a_callback_sees_living_gradients():
    watch = Watches()
    fit([watch, pruning()], toy())
    assert watch.seen == [0] * STEPS


def test_a_lambda_callback_sees_living_gradients():
    watch = Watches()
    fit([LambdaCallback(on_before_optimizer_step=watch.on_before_optimizer_step), pruning()], toy())
    assert watch.seen == [0] * STEPS


def test_the_module_sees_living_gradients():
    seen = []

    class Looks(Toy):
        def on_before_optimizer_step(self, optimizer):
            if self.current_epoch == 4:
                seen.append(dead_gradients(self))

    fit([pruning()], Looks())
    assert seen == [0] * STEPS


def test_an_optimizer_that_may_mix_weights_gets_living_gradients():
    seen = []

    class Looks(SignOptimizer):
        def step(self, closure=None):
            result = super().step(closure)
            if module.current_epoch == 4:
                seen.append(dead_gradients(module))
            return result

    module = toy(optimizer=Looks, scheduler=None)
    fit([pruning()], module)
    assert seen == [0] * STEPS


def test_gradients_are_left_alone_where_nobody_looks():
    seen = []

    class Looks(Toy):
        def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
            if self.current_epoch == 4 and batch_idx > 0:
                seen.append(dead_gradients(self))
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    fit([pruning()], Looks())
    assert all(seen), "masking them costs as much as masking the weights"


def test_clipping_by_hand_counts_living_weights():
    seen = []

    class Manual(Toy):
        def __init__(self):
            super().__init__(scheduler=None)
            self.automatic_optimization = False

        def training_step(self, batch, index):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, index))
            if self.current_epoch == 4:
                seen.append(dead_gradients(self))
            self.clip_gradients(optimizer, gradient_clip_val=0.01, gradient_clip_algorithm="norm")
            optimizer.step()

    module = Manual()
    fit([pruning()], module)
    assert seen == [0] * STEPS


def test_an_optimizer_inside_another_revives_nothing():
    class Inner(Toy):
        """Steps through an optimizer that Lightning does not know, as sharpness-aware ones do."""

        def __init__(self):
            super().__init__(scheduler=None)
            self.automatic_optimization = False

        def training_step(self, batch, index):
            optimizer = self.optimizers().optimizer
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, index))
            optimizer.step()
            optimizer.inner.step()

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.0)
            optimizer.inner = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
            return optimizer

    module = Inner()
    fit([pruning()], module, Images())
    alive = sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7))
    assert alive == pytest.approx(71, abs=1)
