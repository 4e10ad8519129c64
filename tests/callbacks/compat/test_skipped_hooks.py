"""Hooks that are skipped because they do nothing: every hook that does something is still called, in every fit."""

from functools import cached_property
from types import MethodType

import pytest
import torch
from lightning.pytorch.callbacks import Callback, LambdaCallback
from toys import Toy, equal, fit

from lightning_prune import IterativePruning, LRRewind
from lightning_prune.callbacks.compat.skipped_hooks import OF_BATCHES, skip_empty
from lightning_prune.callbacks.masking.gradient_readers import GradientReaders


def skipped(callback):
    return [hook for hook in OF_BATCHES if not callable(getattr(callback, hook))]


class Counting(IterativePruning):
    """Has hooks of its own, and calls those of its class."""

    @cached_property
    def calls(self):
        return []

    def on_before_zero_grad(self, *arguments):
        self.calls.append("zero")
        super().on_before_zero_grad(*arguments)

    def on_after_backward(self, *arguments):
        self.calls.append("backward")
        super().on_after_backward(*arguments)

    def on_before_optimizer_step(self, *arguments):
        self.calls.append("step")
        super().on_before_optimizer_step(*arguments)


class DuringFit(Callback):
    """Notes which hooks of another callback are skipped at the end of each batch."""

    def __init__(self, other):
        self.other = other
        self.found = []

    def on_train_batch_end(self, *_):
        self.found.append(skipped(self.other))


class Fails(Callback):
    def on_train_batch_end(self, *_):
        raise ValueError("on purpose")


def test_the_hooks_of_a_subclass_are_called_in_every_step():
    clock = Counting(cycles=1)
    trainer = fit([clock], Toy())
    assert all(clock.calls.count(kind) == trainer.global_step for kind in ("zero", "backward", "step"))


def test_a_subclass_trains_what_its_class_trains():
    module, other = Toy(), Toy()
    other.load_state_dict(module.state_dict())
    fit([Counting(cycles=2)], module)
    fit([IterativePruning(cycles=2)], other)
    assert equal(module.state_dict(), other.state_dict())


def test_a_hook_that_is_put_on_the_object_in_the_fit_is_called_from_then_on():
    class Adds(Callback):
        def on_train_epoch_start(self, trainer, *_):
            if trainer.current_epoch == 1:
                policy.on_before_backward = MethodType(lambda *_: calls.append(trainer.current_epoch), policy)

    calls, policy = [], LRRewind()
    fit([IterativePruning(cycles=1), policy, Adds()], Toy())
    assert set(calls) >= {1, 2}
    assert 0 not in calls
    assert callable(policy.on_before_backward)


def test_all_hooks_of_a_lambda_callback_are_called():
    calls = dict.fromkeys(OF_BATCHES, 0)

    def counting(hook):
        def count(*_):
            calls[hook] += 1

        return count

    trainer = fit([IterativePruning(cycles=1), LambdaCallback(**{hook: counting(hook) for hook in OF_BATCHES})], Toy())
    assert set(calls.values()) == {trainer.global_step}


def test_empty_hooks_are_skipped_in_a_fit_and_no_more_after_it():
    clock, policy = IterativePruning(cycles=1), LRRewind()
    of_clock, of_policy = DuringFit(clock), DuringFit(policy)
    fit([clock, policy, of_clock, of_policy], Toy())
    assert {"on_before_zero_grad", "on_before_backward", "on_after_backward"} <= set(of_clock.found[0])
    assert set(of_policy.found[0]) == set(OF_BATCHES)  # the clock calls those that are not empty
    assert skipped(clock) == skipped(policy) == []


class StepsAlone(IterativePruning):
    """Leaves out the hook of its class."""

    def on_before_optimizer_step(self, *_):
        pass


class Follows(LRRewind):
    """Has a hook of its own, which calls that of its class."""

    def on_train_batch_start(self, *arguments):
        self.calls = getattr(self, "calls", 0) + 1
        super().on_train_batch_start(*arguments)


class Steep(Toy):
    """Has a schedule, and notes the rate of every step."""

    def configure_optimizers(self):
        optimizer, self.rates = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9), []
        optimizer.register_step_post_hook(lambda one, *_: self.rates.append(one.param_groups[0]["lr"]))
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]

    def training_step(self, batch, index):
        if self.trainer.callbacks[0].cycle is not None:
            self.optimizers().param_groups[0]["lr"] = 3.0  # which the policy takes back
        return super().training_step(batch, index)


@pytest.mark.parametrize("clock", [IterativePruning, StepsAlone], ids=lambda one: one.__name__)
@pytest.mark.parametrize("policy", [LRRewind, Follows], ids=lambda one: one.__name__)
def test_the_rates_are_those_of_the_policy_whoever_calls_its_hooks(clock, policy):
    module, one = Steep(), policy()
    trainer = fit([clock(cycles=1), one], module)
    half = trainer.global_step // 2
    assert module.rates[half:] == module.rates[:half]
    assert getattr(one, "calls", trainer.global_step) == trainer.global_step


def test_nothing_is_skipped_after_an_error():
    clock, policy = IterativePruning(cycles=1), LRRewind()
    with pytest.raises(ValueError, match="on purpose"):
        fit([clock, policy, Fails()], Toy())
    assert skipped(clock) == skipped(policy) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_callback_of_an_earlier_fit_works_in_the_next_one_as_a_fresh_one(fails):
    module, other = Toy(), Toy()
    other.load_state_dict(module.state_dict())
    used, watch = LRRewind(), DuringFit(None)
    if fails:
        with pytest.raises(ValueError, match="on purpose"):
            fit([IterativePruning(cycles=1), used, Fails()], Toy())
    else:
        fit([IterativePruning(cycles=1), used], Toy())
    watch.other = used
    fit([IterativePruning(cycles=1), used, watch], module)
    fit([IterativePruning(cycles=1), LRRewind()], other)
    assert "on_before_backward" in watch.found[0]
    assert equal(module.state_dict(), other.state_dict())


def test_a_module_that_begins_to_optimize_by_hand_has_its_gradients_masked_before_it_clips():
    class Changes(Toy):
        seen = False

        def on_train_epoch_start(self):
            self.automatic_optimization = self.current_epoch == 0

        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            if self.automatic_optimization:
                return loss
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            for name, mask in self.trainer.callbacks[0].masks.items():
                self.seen = True
                assert not self.get_parameter(name).grad[~mask.bool()].any()
            optimizer.step()
            return None

    module = Changes()
    fit([IterativePruning(cycles=1)], module)
    assert module.seen


def test_a_skipped_hook_is_no_reader_of_gradients():
    class Reads(Callback):
        def on_before_optimizer_step(self, *_):
            pass

    found = {}

    class Asks(Callback):
        def on_train_batch_end(self, trainer, *_):
            found[len(found)] = GradientReaders().are_there(trainer, trainer.optimizers[0])

    idle = Callback()
    skip_empty(idle)
    for callbacks, expected in (([idle, Asks()], False), ([idle, Reads(), Asks()], True)):
        found.clear()
        fit(callbacks, Toy(), max_epochs=1)
        assert set(found.values()) == {expected}
