"""Several optimizers in one module: each step leaves alone what belongs to the others."""

import torch
from promises import keeps_its_promises
from torch import nn
from zoo import Adversaries, vectors

from lightning_prune import LRRewind
from lightning_prune.callbacks.masking.hold import Hold


class OneGraph(Adversaries):
    """Both losses are computed before either optimizer steps, so the second still needs the first network's weights."""

    def training_step(self, batch, index):
        ours, theirs = self.optimizers()
        fake, real = self.generator(torch.randn(len(batch[0]), 4)), self.discriminator(batch[0])
        told = self.discriminator(fake.detach())
        theirs.zero_grad()
        self.manual_backward(nn.functional.softplus(-real).mean() + nn.functional.softplus(told).mean())
        theirs.step()
        ours.zero_grad()
        self.manual_backward(nn.functional.softplus(-self.discriminator(fake)).mean())
        ours.step()


def test_a_loss_that_was_computed_before_the_other_step_is_still_differentiated(tmp_path):
    names = [f"{net}.{i}.weight" for net in ("generator", "discriminator") for i in (0, 2)]
    keeps_its_promises(OneGraph, vectors(), names, tmp_path, lambda: [LRRewind()], resumes=True)


def dead(weight):
    return {"dead": torch.zeros_like(weight, dtype=torch.uint8)}


def test_a_step_masks_what_its_optimizer_owns_and_nothing_else():
    mine, other = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    step = torch.optim.SGD([mine], lr=1.0)
    hold = Hold({"mine": mine, "other": other}, [step, torch.optim.SGD([other], lr=1.0)])
    hold.use({name: torch.zeros(2, 2, dtype=torch.uint8) for name in ("mine", "other")})
    for weight in (mine, other):
        weight.data.fill_(1.0)
    version = other._version
    step.step()
    assert not mine.any()
    assert other._version == version


def test_a_weight_that_no_optimizer_owns_stays_zero():
    weight = nn.Parameter(torch.ones(2, 2))
    hold = Hold({"dead": weight}, [torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)])
    hold.use(dead(weight))
    weight.data.fill_(1.0)
    hold.finish_batch_()
    assert not weight.any()


def test_a_weight_that_joins_an_optimizer_later_is_masked_after_its_steps():
    weight = nn.Parameter(torch.ones(2, 2))
    step = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    hold = Hold({"dead": weight}, [step])
    hold.use(dead(weight))
    step.add_param_group({"params": [weight]})
    weight.grad = torch.ones_like(weight)
    step.step()
    assert not weight.any()
