"""Trace and largest eigenvalue of the Hessian: against closed forms, and against the whole matrix by autograd."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from lightning_prune import UserError
from lightning_prune.lab import Classifier, LeNet300100
from lightning_prune.regimes import hessian_trace, top_eigenvalue

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")  # a module without a trainer


def squares(module, batch):
    return (module(batch[0]) - batch[1]).square()


class Module(pl.LightningModule):
    """Logs, reads a number, and draws: what a training_step of users does."""

    def __init__(self, *layers):
        super().__init__()
        self.network = nn.Sequential(*layers)
        self.seen = 0.0

    def training_step(self, batch, batch_idx):
        inputs, labels = batch
        loss = nn.functional.cross_entropy(self.network(inputs), labels)
        self.log("loss", loss)
        self.seen += loss.item()
        return {"loss": loss}


def whole_hessian(module, batches):
    """The matrix of the trained entries, row for row, by differentiating twice."""
    module.eval()
    weights = [one for one in module.parameters() if one.requires_grad]
    count = sum(len(labels) for _, labels in batches)
    loss = sum(module.training_step(one, 0)["loss"] * len(one[1]) / count for one in batches)
    gradient = torch.cat([one.flatten() for one in torch.autograd.grad(loss, weights, create_graph=True)])
    rows = [torch.cat([x.flatten() for x in torch.autograd.grad(one, weights, retain_graph=True)]) for one in gradient]
    return torch.stack(rows)


def batches_of(*sizes, inputs=6):
    draw = torch.Generator().manual_seed(3)
    return [(torch.randn(n, inputs, generator=draw), torch.randint(3, (n,), generator=draw)) for n in sizes]


def test_a_quadratic_has_the_curvature_that_its_inputs_give():
    layer = nn.Linear(3, 1, bias=False)
    inputs = torch.diag(torch.tensor([1.0, 2.0, 3.0]))  # the loss is the mean of (x w)^2: diagonal 2/3 x^2
    data = [(inputs[:1], torch.zeros(1, 1)), (inputs[1:], torch.zeros(2, 1))]  # batches of different sizes

    assert hessian_trace(layer, data, metric=squares, draws=1) == pytest.approx(2 / 3 * 14, rel=1e-5)
    assert top_eigenvalue(layer, data, metric=squares) == pytest.approx(2 / 3 * 9, rel=1e-3)


def test_what_is_pruned_does_not_count():
    layer = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1.0, 0.0]]))
    data = [(torch.diag(torch.tensor([1.0, 2.0, 3.0])), torch.zeros(3, 1))]

    assert hessian_trace(layer, data, metric=squares, draws=1) == pytest.approx(2 / 3 * 5, rel=1e-5)
    assert top_eigenvalue(layer, data, metric=squares) == pytest.approx(2 / 3 * 4, rel=1e-3)


def networks():
    norm = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3)]
    return {"norm and dropout": Module(*norm), "plain": Module(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))}


@pytest.mark.parametrize("name", networks())
def test_the_loss_of_training_step_has_the_curvature_of_the_whole_matrix(name):
    torch.manual_seed(0)
    module = networks()[name]
    batches = batches_of(7, 4)
    matrix = whole_hessian(module, batches).double()
    module.train()
    module.seen = 0.0

    assert top_eigenvalue(module, batches) == pytest.approx(float(torch.linalg.eigvalsh(matrix).max()), rel=2e-3)
    draw = torch.Generator().manual_seed(7)
    signs = [torch.randint(2, (len(matrix),), generator=draw).double() * 2 - 1 for _ in range(5)]
    expected = sum(float(one @ matrix @ one) for one in signs) / 5
    assert hessian_trace(module, batches, draws=5, seed=7) == pytest.approx(expected, rel=1e-4)
    assert module.training
    assert module.seen == 0.0
    assert not any(one.grad is not None for one in module.parameters())


def test_a_classifier_with_metrics_and_a_transformer_are_measured():
    classifier = Classifier(network=LeNet300100(inputs=6, classes=3), optimizer=partial(torch.optim.SGD, lr=0.1))
    layers = [nn.Unflatten(1, (2, 3)), nn.TransformerEncoderLayer(3, 1, 4, batch_first=True), nn.Flatten()]
    transformer = Module(*layers, nn.Linear(6, 3))
    for module in (classifier, transformer):
        assert top_eigenvalue(module, batches_of(8), accuracy=0.1) > 0
    classifier.training_step(batches_of(8)[0], 0)  # the states of its metrics are as before


def test_what_has_no_hessian_is_refused():
    layer = nn.Linear(6, 3)
    with pytest.raises(UserError, match="metric='error'"):
        top_eigenvalue(layer, batches_of(4), metric="error")
    with pytest.raises(UserError, match="training_step"):
        hessian_trace(layer, batches_of(4))
    with pytest.raises(UserError, match="draws=0"):
        hessian_trace(layer, batches_of(4), draws=0)
    with pytest.raises(UserError, match="no parameters"):
        top_eigenvalue(layer.requires_grad_(False), batches_of(4), metric=squares)
