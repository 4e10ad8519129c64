"""A prune that looks at data leaves no trace: all goes on as if nobody had asked."""

import copy
import random as python_random
from collections import Counter, deque

import numpy as np
import pytest
import torch
from gathering import Ask, every_needy, needing, quick
from lightning.pytorch import Callback, LightningModule
from torch import nn
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassPrecision, MulticlassRecall
from toys import STEPS, Images, Toy, equal, fit, seed_everything, sgd

from lightning_prune import IterativePruning, criteria
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.criteria import OnBatches


class Traced(Toy):
    """Everything that a training step may touch."""

    def __init__(self):
        super().__init__()
        self.metric, self.calls, self.losses, self.seen = MeanMetric(), 0, [], {}
        self.register_buffer("moved", torch.zeros(1))
        self.plain = torch.zeros(1)

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.metric.update(loss)
        self.calls += 1
        self.losses.append(float(loss.detach()))
        self.seen[self.calls] = 1
        self.moved += 1
        self.plain += float(torch.rand(1)) + np.random.rand() + python_random.random()  # noqa: NPY002
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log_dict({"other": loss})
        self.log("metric", self.metric, on_epoch=True)
        if self.logger is not None:
            self.logger.log_metrics({"by hand": 1.0}, step=0)
        return loss


class States(Callback):
    """What a network is after every batch of the dense run."""

    def __init__(self):
        self.states = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        if len(self.states) < 4 * STEPS:
            held = {name: p.grad is None for name, p in pl_module.named_parameters()}
            plain = [pl_module.calls, list(pl_module.losses), dict(pl_module.seen), pl_module.plain.clone()]
            logged = {name: v.clone() for name, v in trainer.callback_metrics.items() if "pruning" not in name}
            metric = [pl_module.metric.mean_value.clone(), pl_module.metric._update_count]
            state = {name: t.clone() for name, t in pl_module.state_dict().items()}
            self.states.append([state, held, plain, logged, metric, torch.get_rng_state()])


def traced(callbacks, epochs):
    states = States()
    seed_everything(0, verbose=False)
    fit([*callbacks, states], Traced(), Images(shuffle=True), max_epochs=epochs)
    return states.states


@pytest.fixture(scope="module")
def dense():
    return traced([], 4)


@every_needy
def test_the_dense_run_is_bit_for_bit_the_one_without_a_criterion(criterion, dense):
    assert equal(dense, traced([IterativePruning(cycles=1, retrain="1ep", criterion=quick(criterion))], 4))


def leave_a_gradient(trainer):
    trainer.lightning_module.net[4].bias.grad = torch.ones(10)


@pytest.fixture(scope="module")
def unasked():
    return traced([Ask(leave_a_gradient)], 3)


@every_needy
def test_a_prune_itself_leaves_no_trace(criterion, unasked):
    """Asked in the middle of a run: all of it goes on as if nobody had asked."""

    def ask(trainer):
        module = trainer.lightning_module
        weights = {n: p for n, p in module.named_parameters() if p.dim() > 1}
        leave_a_gradient(trainer)
        gatherer = Gatherer(weights, quick(criterion), 0)
        gatherer.begin_fit()
        modes = [one.training for one in module.modules()]
        gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
        assert torch.equal(module.net[4].bias.grad, torch.ones(10))
        assert modes == [one.training for one in module.modules()]
        assert module.log.__func__ is LightningModule.log
        assert all(p.requires_grad for p in module.parameters())

    assert equal(unasked, traced([Ask(ask)], 3))


def test_what_is_logged_meanwhile_goes_to_no_logger(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    counts = []
    for criterion in (criteria.magnitude, OnBatches(criteria.taylor, 3)):
        logger = CSVLogger(tmp_path, name=str(len(counts)))
        by_hand = []
        logger.log_metrics = lambda metrics, step=None, by_hand=by_hand: by_hand.append(metrics)
        seed_everything(0, verbose=False)
        fit([IterativePruning(cycles=1, retrain="1ep", criterion=criterion)], Traced(), logger=logger)
        counts.append(sum("by hand" in metrics for metrics in by_hand))
    assert counts == [5 * STEPS] * 2


class Meter:
    """As many training scripts have it."""

    def __init__(self):
        self.total, self.values = 0.0, []


class Holding(Toy):
    """A training step that changes what hides in containers, objects and generators, and weights themselves."""

    def __init__(self):
        super().__init__()
        self.metrics = MetricCollection([MulticlassPrecision(3), MulticlassRecall(3)])  # merges groups when updated
        self.unregistered = {"train": [MulticlassPrecision(3)]}
        self.meter, self.history, self.pair = Meter(), {"loss": []}, ([], torch.zeros(1))
        self.queue, self.counter, self.array = deque([1, 2], maxlen=2), Counter(), np.zeros(2)
        self.generators = [torch.Generator().manual_seed(3), np.random.default_rng(0), python_random.Random(0)]
        self.old_generator = np.random.RandomState(0)
        self.average = nn.Linear(3, 3).requires_grad_(False)
        self.register_buffer("expanded", torch.zeros(1).expand(3))
        with torch.inference_mode():
            self.validated = [torch.zeros(2)]

    def training_step(self, batch, index):
        output = self(batch[0])
        for metric in (self.metrics, self.unregistered["train"][0]):
            metric.update(output, batch[1])
        self.meter.total += 1
        for values in (self.meter.values, self.history["loss"], self.pair[0], self.queue):
            values.append(index)
        self.counter["steps"] += 1
        self.array += 1
        self.pair[1].add_(1)
        torch.rand(1, generator=self.generators[0])
        for generator in (self.generators[1], self.generators[2]):
            generator.random()
        self.old_generator.rand()
        self.average.weight.data.mul_(0.9)
        self.net[0].weight.data.clamp_(-0.1, 0.1)
        self.zero_grad()
        return nn.functional.cross_entropy(output, batch[1])

    def held(self):
        metrics = [*self.metrics._modules.values(), self.unregistered["train"][0]]
        return {
            "groups": [copy.deepcopy(self.metrics._groups), self.metrics._groups_checked],
            "metrics": [[m._update_count, m.tp.clone()] for m in metrics],
            "values": copy.deepcopy([vars(self.meter), self.history, self.pair, list(self.queue), dict(self.counter)]),
            "array": self.array.tolist(),
            "torch": self.generators[0].get_state(),
            "numpy": str(self.generators[1].bit_generator.state),
            "old numpy": str(self.old_generator.get_state()),
            "python": self.generators[2].getstate(),
            "weights": {name: value.clone() for name, value in self.state_dict().items()},
            "gradients": {name: p.grad for name, p in self.named_parameters()},
            "rates": [group["lr"] for group in self.optimizers().param_groups],
        }


@pytest.mark.parametrize("asked", [needing("gradient", "hessian_gradient"), needing("survival")], ids=["data", "flow"])
def test_what_a_module_holds_anywhere_is_put_back(asked):
    def ask(trainer):
        module = trainer.lightning_module
        module.net[7].bias.grad = torch.ones(3)
        weights = {name: p for name, p in module.net.named_parameters() if p.dim() > 1}
        before, holds = module.held(), [module.history, module.queue, module.meter, module.generators[0]]
        Gatherer(weights, asked, 0).gather(trainer, dict.fromkeys(weights), 1, 100, False)
        after = module.held()
        again = [module.history, module.queue, module.meter, module.generators[0]]
        return [what for what in before if not equal(before[what], after[what])], [
            one is other for one, other in zip(holds, again, strict=True)
        ]

    for epoch in (0, 1):  # before the first step, when metrics have met nothing, and after some
        asks = Ask(ask, epoch)
        fit([asks], Holding(), max_epochs=2)
        assert asks.answer == ([], [True] * 4)


class Prepares(Toy):
    """A training step that looks at what the module's own hook made for the batch, which also sets the rate."""

    def on_train_batch_start(self, batch, index):
        if index == 1:
            return -1
        self.scale = (index + 1) * torch.ones(1)
        self.optimizers().param_groups[0]["lr"] = 77.0
        return None

    def training_step(self, batch, index):
        assert index != 1, "the hook wanted to leave that one out"
        return nn.functional.cross_entropy(self(batch[0]), batch[1]) * self.scale


def test_what_the_modules_own_hook_makes_for_a_batch_is_there_and_its_traces_are_not():
    def ask(trainer):
        module = trainer.lightning_module
        weights = {name: p for name, p in module.named_parameters() if p.dim() > 1}
        gatherer = Gatherer(weights, needing("gradient", batches=3), 0)
        gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
        return hasattr(module, "scale"), module.optimizers().param_groups[0]["lr"]

    asks = Ask(ask, epoch=0)
    fit([asks], Prepares(optimizer=sgd), max_epochs=1)
    assert asks.answer == (False, 0.1)
