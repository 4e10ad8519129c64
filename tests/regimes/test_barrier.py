"""The line between two networks: closed forms, an independent rewrite, and no trace left behind."""

import copy
import random

import numpy as np
import pytest
import torch
from lightning import LightningModule
from processes import in_processes
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler
from toys import Images, equal, fit, toy

import lightning_prune as lp
from lightning_prune import Barrier, IterativePruning, OneShot, UserError, barrier, weight_distance
from lightning_prune.basics.random_state import take


class Parabola(LightningModule):
    """The loss is ``mean((weight * x)^2)``, and the scores of its classes are equal."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def training_step(self, batch, batch_idx):
        self.log("train_loss", 0.0)
        return {"loss": (self.weight * batch["x"]).square().mean()}


def perceptron(seed, inputs=4, hidden=6, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def permuted(network):
    """The same function, with its hidden units in another order."""
    other = copy.deepcopy(network)
    order = torch.arange(network[0].out_features).roll(1)
    with torch.no_grad():
        other[0].weight.copy_(network[0].weight[order])
        other[0].bias.copy_(network[0].bias[order])
        other[2].weight.copy_(network[2].weight[:, order])
    return other


def examples(count=40, inputs=4, classes=3):
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(count, inputs, generator=generator), torch.arange(count) % classes)


@pytest.fixture(scope="module")
def trained():
    """Two copies of a pruned network with BatchNorm and dropout, retrained in other orders."""

    def retrain(seed):
        module = toy(dropout=0.3)
        torch.manual_seed(seed)
        fit([IterativePruning(cycles=1, retrain=2, sparsity=OneShot(0.5))], module, Images(shuffle=True), max_epochs=2)
        return module

    first = retrain(0)
    second = copy.deepcopy(first)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in second.parameters():
            one.add_(0.3 * torch.randn(one.shape, generator=generator) * (one != 0))
    return first, second


def test_a_quadratic_loss_has_its_closed_form():
    batches = [{"x": torch.tensor([1.0, 2.0])}, {"x": torch.tensor([3.0])}]  # the mean of x^2 is 14/3
    found = barrier(Parabola(-1.0), Parabola(3.0), batches, metric="loss")
    expected = [14 / 3 * (-1 + 4 * t) ** 2 for t in np.linspace(0, 1, 11)]
    assert found.values == pytest.approx(expected, abs=1e-5)
    assert found.places == pytest.approx(np.linspace(0, 1, 11))
    assert found.at == 0.2  # (-0.2)^2 is nearest to 0 of the points, as far from 5 as can be
    assert found.lmc == pytest.approx(14 / 3 * (5 - 0.04), abs=1e-5)


def test_the_place_is_that_which_differs_most_from_the_mean_of_the_ends():
    assert (Barrier((0.0, 0.5, 1.0), (0.1, 0.9, 0.3)).lmc, Barrier((0.0, 0.5, 1.0), (0.1, 0.9, 0.3)).at) == (-0.7, 0.5)
    assert Barrier((0.0, 0.5, 1.0), (0.5, 0.1, 0.5)).lmc == pytest.approx(0.4)  # better in the middle
    assert Barrier((0.0, 0.5, 1.0), (0.1, 0.2, 0.3)).at == 0.0  # the first of equal ones


def test_a_network_is_connected_with_itself():
    network = perceptron(0)
    found = barrier(network, copy.deepcopy(network), DataLoader(examples(), batch_size=7))
    assert found.lmc == 0
    assert len(set(found.values)) == 1


def test_a_permuted_network_is_as_good_and_not_connected():
    network = perceptron(0)
    data = examples()
    data = TensorDataset(data.tensors[0], network(data.tensors[0]).argmax(1))  # labels that the network gets right
    found = barrier(network, permuted(network), DataLoader(data, batch_size=7))
    assert (found.values[0], found.values[-1]) == (0, 0)
    assert found.lmc < -0.05
    assert lp.cka(network, permuted(network), DataLoader(data, batch_size=7)) == pytest.approx(1)
    assert lp.agreement(network, permuted(network), DataLoader(data, batch_size=7)) == 1
    assert weight_distance(network, permuted(network)) > 0.5


def rewritten(first, second, images, labels, batch, points, loss):
    """The error or loss along the line, with BatchNorm statistics by hand."""
    found = []
    for t in np.linspace(0, 1, points):
        one, other = first.state_dict(), second.state_dict()
        state = {name: (1 - t) * one[name].double() + t * other[name].double() for name in one}
        conv = nn.functional.conv2d(images.double(), state["net.0.weight"], state["net.0.bias"])
        parts = conv.split(batch)
        share = [len(part) / len(images) for part in parts]
        mean = sum(part.mean((0, 2, 3)) * s for part, s in zip(parts, share, strict=True))
        flat = [part.transpose(0, 1).flatten(1) for part in parts]
        variance = sum(part.var(1) * s for part, s in zip(flat, share, strict=True))
        normed = (conv - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-5).sqrt()
        normed = normed * state["net.1.weight"].view(1, -1, 1, 1) + state["net.1.bias"].view(1, -1, 1, 1)
        hidden = nn.functional.linear(normed.relu().flatten(1), state["net.4.weight"], state["net.4.bias"]).relu()
        scores = nn.functional.linear(hidden, state["net.7.weight"], state["net.7.bias"])
        value = nn.functional.cross_entropy(scores, labels) if loss else (scores.argmax(1) != labels).double().mean()
        found.append(float(value))
    return found


@pytest.mark.parametrize("metric", ["error", "loss"])
def test_the_values_are_those_of_an_independent_rewrite(trained, metric):
    data = Images(batch=7)  # 48 images: the last batch has 6
    images, labels = data.set.tensors
    expected = rewritten(*trained, images, labels, 7, points=5, loss=metric == "loss")
    found = barrier(*trained, data, points=5, metric=metric)
    assert found.values == pytest.approx(expected, abs=1e-5)
    assert len(set(found.values)) > 2


def test_interpolated_statistics_are_no_estimate(trained):
    estimated, interpolated = (
        barrier(*trained, Images(), batch_norm=how, metric="loss") for how in ("estimate", "interpolate")
    )
    assert max(abs(a - b) for a, b in zip(estimated.values, interpolated.values, strict=True)) > 0.01


def test_dead_weights_stay_dead_on_the_line(trained):
    seen = []

    def metric(module, batch):
        seen.append({name: (one == 0) for name, one in module.named_parameters()})
        return torch.zeros(())

    barrier(*trained, Images(), points=5, metric=metric)
    dead = {name: one == 0 for name, one in trained[0].named_parameters()}
    assert sum(int(one.sum()) for one in dead.values()) > 300
    assert all(bool((one[name] >= dead[name]).all()) for one in seen for name in dead)


class Drawing(Dataset):
    """Images with noise that is drawn when they are read, by torch and by Python."""

    def __init__(self):
        self.images, self.labels = Images().set.tensors

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index] + torch.randn(1, 6, 6) + random.random(), self.labels[index]


@pytest.mark.parametrize(
    "loader",
    [
        lambda: DataLoader(Drawing(), batch_size=8, shuffle=True),
        lambda: DataLoader(Drawing(), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0)),
        lambda: DataLoader(Drawing(), 8, sampler=WeightedRandomSampler(torch.ones(48), 48)),
        lambda: DataLoader(
            Drawing(), 8, sampler=WeightedRandomSampler(torch.ones(48), 48, generator=torch.Generator())
        ),
    ],
    ids=["shuffled", "own generator", "weighted", "weighted with own generator"],
)
def test_nothing_is_left_behind_and_all_passes_see_the_same_data(trained, loader):
    first, second = trained
    first.train()
    second.net[3].eval()
    data = loader()
    modes = [[one.training for one in module.modules()] for module in trained]
    states = [copy.deepcopy(module.state_dict()) for module in trained]
    own = [one.generator.get_state() for one in (data, data.sampler) if getattr(one, "generator", None) is not None]
    state_before = take()
    assert len(set(barrier(first, first, data, points=3, metric="loss").values)) == 1
    barrier(first, second, data, points=3, metric="loss")
    lp.cka(first, second, data)
    assert lp.agreement(first, first, data) == 1
    assert modes == [[one.training for one in module.modules()] for module in trained]
    assert all(equal(state, dict(module.state_dict())) for state, module in zip(states, trained, strict=True))
    assert equal(
        own, [one.generator.get_state() for one in (data, data.sampler) if getattr(one, "generator", None) is not None]
    )
    assert equal(state_before, take())
    assert all(one.grad is None or one.grad.shape for one in first.parameters())
    second.net[3].train()


def test_nothing_is_left_behind_by_a_metric_that_fails(trained):
    state = copy.deepcopy(trained[0].state_dict())

    def metric(module, batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        barrier(*trained, Images(), metric=metric)
    assert equal(state, dict(trained[0].state_dict()))
    assert trained[0].training


def test_a_loader_that_shuffles_is_read_whole_in_one_order():
    network, other = perceptron(0), perceptron(1)
    ordered = DataLoader(examples(41), batch_size=4)
    shuffled = DataLoader(examples(41), batch_size=4, shuffle=True, drop_last=True)
    assert barrier(network, other, shuffled).values == pytest.approx(barrier(network, other, ordered).values, abs=1e-9)
    few = [barrier(network, other, shuffled, batches=2, seed=seed).values for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]


def test_a_single_example_that_is_left_over_has_no_part_in_the_statistics():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    found = barrier(network, copy.deepcopy(network), DataLoader(examples(9), batch_size=4))
    assert len(set(found.values)) == 1


def test_checkpoints_are_measured_like_their_modules(trained, tmp_path):
    paths = [tmp_path / "a.ckpt", tmp_path / "b.ckpt"]
    for path, module in zip(paths, trained, strict=True):
        torch.save({"state_dict": {f"net._orig_mod.{k[4:]}": v for k, v in module.state_dict().items()}}, path)
    fresh = toy(dropout=0.3)
    before = copy.deepcopy(fresh.state_dict())
    assert barrier(*paths, Images(), points=3, network=fresh).values == barrier(*trained, Images(), points=3).values
    assert lp.cka(*paths, Images(), network=fresh) == lp.cka(*trained, Images())
    assert weight_distance(*paths, network=fresh) == weight_distance(*trained)
    assert equal(before, dict(fresh.state_dict()))
    with pytest.raises(UserError, match="does not know its network"):
        barrier(*paths, Images())
    with pytest.raises(UserError, match="checkpoint of another network than Sequential"):
        barrier(*paths, Images(), network=perceptron(0))


def test_a_data_module_of_the_lab_is_read_without_augmentation():
    from lightning_prune.lab import Classifier, Digits, LeNet300100

    data = Digits(batch_size=64)
    data.setup("fit")
    torch.manual_seed(0)
    first, second = (Classifier(LeNet300100(inputs=64)) for _ in range(2))
    found = barrier(first, second, data, points=3)
    images, labels = data.train_images.__getitems__(list(range(len(data.train_images))))
    by_hand = float((first(data.normalization(images)).argmax(1) != labels).double().mean())
    assert found.values[0] == pytest.approx(by_hand)


def test_what_cannot_be_measured_is_refused():
    network, data = perceptron(0), DataLoader(examples(), batch_size=8)
    with pytest.raises(UserError, match=r"barrier\(points=1\)"):
        barrier(network, network, data, points=1)
    with pytest.raises(UserError, match="same shapes, and these differ in '0.bias'"):
        barrier(network, perceptron(0, hidden=5), data)
    with pytest.raises(UserError, match="give a list"):
        barrier(network, network, iter(data))
    with pytest.raises(UserError, match="give one loader"):
        barrier(network, network, [data, data])
    with pytest.raises(UserError, match=r"barrier\(data=None\) has no batches"):
        barrier(network, network, None)
    with pytest.raises(UserError, match="has no batch for process 0"):
        barrier(network, network, [])
    with pytest.raises(UserError, match="training_step of a LightningModule"):
        barrier(network, network, data, metric="loss")
    with pytest.raises(UserError, match="is unknown: give 'error', 'loss', or a function"):
        barrier(network, network, data, metric="accuracy")
    with pytest.raises(UserError, match="inputs and labels"):
        barrier(network, network, [{"x": torch.rand(2, 4)}])
    with pytest.raises(UserError, match=r"maps a batch to \[2, 3\] with labels \[2, 3\]"):
        barrier(network, network, [(torch.rand(2, 4), torch.rand(2, 3))])
    with pytest.raises(UserError, match="needs networks of the same shapes"):
        weight_distance(network, perceptron(0, hidden=5))


def test_a_training_step_that_needs_a_trainer_asks_for_a_metric():
    class Attached(Parabola):
        def training_step(self, batch, batch_idx):
            return self.weight * self.trainer.global_step

    with pytest.raises(UserError, match="looks at its trainer and has none: give a function"):
        barrier(Attached(1.0), Attached(2.0), [{"x": torch.ones(2)}], metric="loss")


def _entropy(module, batch):
    return nn.functional.cross_entropy(module(batch[0]), batch[1])


def _measure(folder, first, second):
    data = DataLoader(examples(43), batch_size=4, shuffle=True)
    line = barrier(first, second, data, points=3)
    values = [*line.values, lp.cka(first, second, data, batches=7), lp.agreement(first, second, data)]
    values += [lp.cka(first, second, data, of="logits", debiased=True), lp.barrier(first, second, data, batches=3).lmc]
    values.append(lp.hessian_trace(first, data, metric=_entropy, draws=2))
    values.append(lp.top_eigenvalue(first, data, metric=_entropy, accuracy=0.01))
    if torch.distributed.is_initialized():  # on all processes, so that none waits for another
        with pytest.raises(UserError, match="has 2 batches for 3 processes"):
            barrier(first, second, data, batches=2)
    torch.save(values, folder / f"{torch.distributed.is_initialized() and torch.distributed.get_rank()}.pt")


def _measure_in_a_group(folder, first, second):
    torch.distributed.init_process_group("gloo")
    _measure(folder, first, second)
    torch.distributed.destroy_process_group()


def test_three_processes_measure_what_one_measures(tmp_path):
    networks = [nn.Sequential(perceptron(seed, classes=5), nn.BatchNorm1d(5), nn.Linear(5, 3)) for seed in (0, 1)]
    _measure(tmp_path, *networks)
    alone = torch.load(tmp_path / "False.pt")
    in_processes(3, _measure_in_a_group, tmp_path, *networks)
    for rank in range(3):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(alone, rel=1e-5, abs=1e-6)
