"""Distillation from the dense network, and layers that are frozen by how little they moved."""

import json
import math

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from processes import in_processes
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import BATCH, STEPS, Images, equal, fit, make_trainer, toy
from zoo import Adversaries, vectors

from lightning_prune import DistillFromDense, FineTune, FreezeLayers, IterativePruning, OneShot, Shrink, Structures

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]


class Watch(Callback):
    """The dense network, the weights and gradients of every batch, and the losses."""

    def __init__(self):
        self.dense, self.states, self.losses, self.gradients = None, [], [], []

    def on_prune_start(self, trainer, pl_module):
        self.dense = self.dense or {n: one.detach().clone() for n, one in pl_module.state_dict().items()}

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.states.append({n: one.detach().clone() for n, one in pl_module.state_dict().items()})

    def on_after_backward(self, trainer, pl_module):
        self.gradients.append({n: one.grad.clone() for n, one in pl_module.named_parameters() if one.grad is not None})

    def on_train_batch_end(self, trainer, pl_module, outputs, *_):
        self.losses.append(float(outputs["loss"]))

    def on_train_end(self, trainer, pl_module):
        self.on_train_batch_start(trainer, pl_module)


def run(*callbacks, module=None, cycles=2, folder=None, pruning=(), **options):
    watch, module = Watch(), module or toy()
    clock = IterativePruning(**{"cycles": cycles, "retrain": 1, **dict(pruning)})
    logger = CSVLogger(folder, name="", version="log") if folder else False
    trainer = fit([clock, *callbacks, watch], module, max_epochs=2, logger=logger, log_every_n_steps=50, **options)
    return trainer, watch


@pytest.mark.parametrize("scores", [None, "net"])
@pytest.mark.parametrize(("temperature", "weight"), [(2.0, 1.0), (4.0, 16.0)])
def test_the_loss_and_the_gradients_are_those_of_the_formula(temperature, weight, scores):
    module = toy(dropout=0.0)
    _, watch = run(DistillFromDense(temperature, weight, scores), module=module, cycles=1)
    made, teacher = toy(dropout=0.0), toy(dropout=0.0)
    teacher.load_state_dict(watch.dense)
    teacher.eval()
    first = 2 * STEPS
    made.load_state_dict(watch.states[first])
    images, labels = (tensor[:BATCH] for tensor in Images().set.tensors)
    given, wanted = made(images), teacher(images).detach()
    logs = [(one / temperature).log_softmax(1) for one in (given, wanted)]
    distance = nn.functional.kl_div(*logs, log_target=True, reduction="sum") / BATCH
    loss = nn.functional.cross_entropy(given, labels) + weight * distance
    loss.backward()
    assert watch.losses[first] == pytest.approx(loss.item(), rel=1e-5)
    for name, one in made.named_parameters():
        assert torch.allclose(watch.gradients[first][name], one.grad, atol=1e-5)
    assert distance > 0.001


def test_the_dense_run_validation_and_everything_but_the_loss_are_as_without_it():
    (plain, one), (distilled, other) = run(cycles=1), run(DistillFromDense(), cycles=1)
    assert equal(one.states[2 * STEPS], other.states[2 * STEPS])
    assert one.losses[: 2 * STEPS] == other.losses[: 2 * STEPS]
    assert one.losses[2 * STEPS] < other.losses[2 * STEPS]
    name = "net.1.num_batches_tracked"
    assert plain.lightning_module.state_dict()[name] == distilled.lightning_module.state_dict()[name]
    assert "training_step" not in vars(distilled.lightning_module)
    assert not distilled.lightning_module._forward_hooks


def test_a_distilled_network_agrees_more_with_the_dense_one():
    def agreement(*callbacks):
        _, watch = run(*callbacks, module=toy(dropout=0.0), cycles=1, pruning={"sparsity": OneShot(0.8), "retrain": 4})
        images, made = Images().set.tensors[0], toy(dropout=0.0).eval()
        predicted = []
        for state in (watch.dense, watch.states[-1]):
            made.load_state_dict(state)
            predicted.append(made(images).softmax(1))
        return (predicted[0] - predicted[1]).abs().mean()

    assert agreement(FineTune(lr=0.02), DistillFromDense(weight=10.0)) < agreement(FineTune(lr=0.02))


@pytest.mark.slow
@pytest.mark.parametrize("make", [DistillFromDense, lambda: FreezeLayers(0.3)])
def test_a_fit_goes_on_from_every_epoch_as_if_it_had_not_been_interrupted(make, tmp_path):
    resume_from_every_epoch(tmp_path, make)


def test_scores_that_are_not_found_are_refused():
    with pytest.raises(ValueError, match=r"scores='head'\): Toy has no such module. It has net, net.0"):
        run(DistillFromDense(scores="head"))

    class Unnamed(type(toy())):
        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    module = toy()
    module.__class__ = Unnamed
    with pytest.raises(ValueError, match="found no scores: training_step does not call 'forward' of the module"):
        run(DistillFromDense(), module=module)
    with pytest.raises(ValueError, match="Adversaries optimizes by hand"):
        make_trainer([IterativePruning(cycles=1, retrain=1), DistillFromDense()], max_epochs=1).fit(
            Adversaries(), vectors()
        )
    shrinking = {"granularity": Structures(), "sparsity": OneShot(0.5)}
    with pytest.raises(ValueError, match="cannot run the dense network: .* is smaller now"):
        run(DistillFromDense(), Shrink(at="cycles"), pruning=shrinking, cycles=1)


@pytest.mark.parametrize("fraction", [0.3, 0.6])
def test_the_layers_that_moved_least_stand_still_from_the_second_cycle_on(fraction, tmp_path):
    names = ["net.0.weight", "net.4.weight", "net.7.weight"]
    _, watch = run(FreezeLayers(fraction), cycles=3, folder=tmp_path)
    second, last = watch.states[3 * STEPS], watch.states[-1]
    found = json.loads((tmp_path / "log" / "pruning.json").read_text())["frozen"]
    assert len(found["layers"]) == math.ceil(fraction * 3)
    assert found["scores"].keys() == set(names)
    assert found["layers"] == sorted(names, key=found["scores"].get)[: len(found["layers"])]
    living = {name: second[name] != 0 for name in names}
    for name in names:
        frozen = name in found["layers"]
        alive = last[name] != 0
        assert torch.equal(last[name][alive], second[name][alive]) == frozen
        assert (living[name] & ~alive).any(), "and it is pruned as before"
        bias = name.replace("weight", "bias")
        assert torch.equal(last[bias], second[bias]) == frozen
    assert torch.equal(last["net.1.weight"], second["net.1.weight"]) == ("net.0.weight" in found["layers"])
    assert not torch.equal(last["net.1.running_mean"], second["net.1.running_mean"])


def test_the_scores_are_those_of_the_formula(tmp_path):
    class Ends(Callback):
        def __init__(self):
            self.sums = []

        def on_prune_start(self, trainer, pl_module):
            self.sums.append(pl_module.net[4].weight.detach().clone())

        def on_cycle_start(self, trainer, pl_module, cycle):
            clock = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
            self.sums.append(pl_module.net[4].weight.detach() * clock.masks["net.4.weight"])

    ends = Ends()
    run(FreezeLayers(0.3), ends, folder=tmp_path)
    dense, pruned, trained, *_ = ends.sums
    expected = (trained.abs().sum() - pruned.abs().sum()).abs() / dense.norm()
    scores = json.loads((tmp_path / "log" / "pruning.json").read_text())["frozen"]["scores"]
    assert scores["net.4.weight"] == pytest.approx(float(expected), rel=1e-5)


def test_a_fraction_out_of_range_and_a_single_cycle_are_refused():
    with pytest.raises(ValueError, match=r"FreezeLayers\(fraction=1\) must lie in \(0, 1\)"):
        FreezeLayers(1)
    with pytest.raises(ValueError, match="and there is one cycle"):
        run(FreezeLayers(), cycles=1)
    with pytest.raises(ValueError, match=r"DistillFromDense\(temperature=0\) must be greater than 0"):
        DistillFromDense(temperature=0)


def on_two(folder):
    module = toy(plain=True)
    callbacks = [IterativePruning(cycles=2, retrain=1), DistillFromDense(), FreezeLayers(0.5)]
    fit(callbacks, module, Images(batch=4), max_epochs=1, devices=2, strategy="ddp", limit_val_batches=0)
    torch.save(module.state_dict(), folder / f"{torch.distributed.get_rank()}.pt")


def test_two_processes_hold_the_same_weights(tmp_path):
    in_processes(2, on_two, tmp_path)
    assert equal(*(torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)))
