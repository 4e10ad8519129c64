"""A fused SGD whose first step overflows begins its momentum with the next step, as an unfused SGD does."""

import pytest
import torch
from torch import nn

from lightning_prune import prune
from lightning_prune.masks.first_buffers import guard_first_buffers
from lightning_prune.masks.optimizer_state import reset_


@pytest.fixture(autouse=True)
def unwritten_memory_is_nan():
    """What torch promises of memory under deterministic algorithms."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def trained(fused, overflows, resets=(), held=True, **options):
    """The weights after eight steps. Some overflow, and before some the state is reset."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=fused, **options)
    if held:
        prune(network, sparsity=0.5).hold(optimizer)
    scaler, inputs = torch.amp.GradScaler("cpu", init_scale=4.0), torch.randn(8, 16, 4)
    for step, batch in enumerate(inputs):
        if step in resets:
            reset_(optimizer)
        optimizer.zero_grad()
        loss = network(batch).square().mean()
        scaler.scale(loss * float("inf") if step in overflows else loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize("options", [{}, {"dampening": 0.5}, {"nesterov": True}], ids=str)
@pytest.mark.parametrize(("overflows", "resets"), [({0}, ()), ({0, 1}, ()), ({4}, {4}), ({2, 4, 5}, {4, 7}), ((), {3})])
def test_a_fused_sgd_goes_the_way_of_an_unfused_one(overflows, resets, options):
    fused = trained(True, overflows, resets, **options)
    assert fused.isfinite().all()
    torch.testing.assert_close(fused, trained(False, overflows, resets, **options))


def test_torch_alone_goes_on_with_unwritten_momentum():
    """When this fails, torch has mended it, and `first_buffers.py` can go."""
    assert trained(True, {0}, held=False).isnan().any()


def test_other_optimizers_get_no_hook():
    weight = nn.Parameter(torch.ones(2))
    for one in (torch.optim.SGD([weight], lr=0.1, momentum=0.9), torch.optim.Adam([weight], fused=True)):
        assert guard_first_buffers(one) == []
