"""Optimizers that mix weights, torch's or not: they get living gradients, and keep what is no moment."""

import pytest
import torch
from lightning.pytorch import Callback
from optimizer_runs import run
from torch import nn, optim
from toys import STEPS

from lightning_prune.masks.optimizer_state import mask_moments_

pytestmark = pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`")


class Normalizing(optim.Optimizer):
    """Divides every gradient by the norm of all of them."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.05})

    @torch.no_grad()
    def step(self, closure=None):
        loss = torch.enable_grad()(closure)()
        weights = [weight for group in self.param_groups for weight in group["params"]]
        norm = torch.cat([weight.grad.flatten() for weight in weights]).norm()
        for weight in weights:
            moment = self.state[weight].setdefault("moment", torch.zeros_like(weight))
            weight.sub_(moment.mul_(0.9).add_(weight.grad / norm), alpha=self.param_groups[0]["lr"])
        return loss


class Shampoo(optim.Optimizer):
    """Multiplies every gradient by inverse roots of what it knows of rows and of columns."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.05})

    @torch.no_grad()
    def step(self, closure=None):
        loss = torch.enable_grad()(closure)()
        for weight in self.param_groups[0]["params"]:
            state, gradient = self.state[weight], weight.grad
            rows = state.setdefault("rows", 0.01 * torch.eye(weight.shape[0])).add_(gradient @ gradient.T)
            columns = state.setdefault("columns", 0.01 * torch.eye(weight.shape[1])).add_(gradient.T @ gradient)
            assert torch.linalg.eigvalsh(rows).min() > 0
            assert torch.linalg.eigvalsh(columns).min() > 0
            weight.sub_(root(rows) @ gradient @ root(columns), alpha=self.param_groups[0]["lr"])
        return loss


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**-0.25) @ vectors.T


@pytest.mark.parametrize("kind", [Normalizing, Shampoo])
def test_an_optimizer_of_somebody_elses_that_mixes_weights_is_handled_by_default(kind):
    module, witness = run(kind, {})
    assert witness.steps == 4 * STEPS
    assert witness.revived == witness.moments == witness.gradients == 0
    assert sum(int(weight.count_nonzero()) for weight in module.parameters()) == round(0.64 * 624)


def test_a_preconditioner_of_a_square_weight_is_no_moment_of_it():
    weight = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    optimizer = Shampoo([weight])
    optimizer.step(lambda: (weight**2).sum().backward())
    rows = optimizer.state[weight]["rows"].clone()
    mask_moments_(optimizer, {weight: torch.eye(4, dtype=torch.uint8).flip(0)})
    assert torch.equal(optimizer.state[weight]["rows"], rows)
    moment = optimizer.state[weight]["moment"] = torch.arange(16.0).view(4, 4)
    mask_moments_(optimizer, {weight: torch.eye(4, dtype=torch.uint8)})
    assert torch.equal(moment, torch.diag(torch.tensor([0.0, 5, 10, 15])))


def test_lbfgs_tries_living_weights_only():
    """It tries several points in every step: a history of what is dead by now would lead away from zero."""
    tried = []

    class Tries(Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            cycle = trainer.callbacks[0].cycle
            if cycle is not None:
                tried.append(sum(int(weight.count_nonzero()) for weight in pl_module.parameters()))

    run(optim.LBFGS, {"lr": 0.1, "max_iter": 4}, callbacks=[Tries()])
    assert len(tried) > 2 * STEPS
    assert set(tried) == {round(0.8 * 624), round(0.64 * 624)}
