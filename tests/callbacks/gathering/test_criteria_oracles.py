"""The masks of whole runs against each criterion written anew by hand, from the weights and batches that it was given."""

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.func import functional_call
from toys import Images, Toy, equal, fit, seed_everything

from lightning_prune import IterativePruning, OneShot, criteria
from lightning_prune.criteria import OnBatches, SynFlow

SPARSITY = 0.6


class Noting(Toy):
    """Two layers in double precision; notes the batches of its training steps where nothing is put back."""

    def __init__(self, seen, linear=False):
        super().__init__(scheduler=None)
        between = nn.Identity() if linear else nn.Tanh()
        layers = nn.Linear(36, 6, bias=not linear), between, nn.Linear(6, 3, bias=not linear)
        self.net, self.note = nn.Sequential(nn.Flatten(), *layers).double(), seen.append

    def training_step(self, batch, index):
        self.note(batch)
        return self.loss(batch)

    def loss(self, batch, weights=None):
        output = functional_call(self.net, weights or {}, (batch[0].double(),))
        return nn.functional.cross_entropy(output, batch[1])

    def validation_step(self, *_):
        pass

    @property
    def matrices(self):
        return {name: p for name, p in self.net.named_parameters() if p.dim() > 1}


class Around(Callback):
    """The weights when the dense run ends, and the batches of the prune that follows."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 0:
            self.seen.clear()
            self.weights = {name: p.detach().clone() for name, p in pl_module.net.named_parameters()}

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.batches = list(self.seen)


def pruned(criterion, linear=False):
    """The masks of a prune, the module with the weights that it saw, and the batches."""
    seen = []
    seed_everything(0, verbose=False)
    module, around = Noting(seen, linear), Around(seen)
    pruning = IterativePruning(cycles=1, retrain="1ep", criterion=criterion, sparsity=OneShot(SPARSITY))
    fit([pruning, around], module, Images(), max_epochs=1)
    module.net.load_state_dict(around.weights)
    return {name.removeprefix("net."): mask for name, mask in pruning.masks.items()}, module, around.batches


def highest(scores):
    """Keep the highest of all together."""
    joined = torch.cat([score.flatten() for score in scores.values()])
    cut = joined.sort(descending=True).values[round((1 - SPARSITY) * joined.numel()) - 1]
    return {name: score >= cut for name, score in scores.items()}


def gradients(module, batches):
    loss = sum(module.loss(batch) for batch in batches) / len(batches)
    return dict(zip(module.matrices, torch.autograd.grad(loss, list(module.matrices.values())), strict=True))


def by_gates(module, batches):
    """SNIP: every connection has a gate, open at 1; how much does the loss feel it?"""
    gates = {name: torch.ones_like(p, requires_grad=True) for name, p in module.matrices.items()}
    gated = {name: gate * module.matrices[name].detach() for name, gate in gates.items()}
    module.loss(batches[0], gated).backward()
    return {name: gate.grad.abs() for name, gate in gates.items()}


def by_differences(module, batches, step=1e-4):
    """GraSP: -w (H g), the product from gradients a little further along the gradient; the largest are removed."""
    along, sides = gradients(module, batches), []
    for sign in (1, -2):
        with torch.no_grad():
            for name, weight in module.matrices.items():
                weight += sign * step * along[name]
        sides.append(gradients(module, batches))
    with torch.no_grad():
        for name, weight in module.matrices.items():
            weight += step * along[name]
    removal = {n: -w.detach() * (sides[0][n] - sides[1][n]) / (2 * step) for n, w in module.matrices.items()}
    return {name: -score for name, score in removal.items()}


def by_taylor(module, batches):
    each = [gradients(module, [batch]) for batch in batches]
    return {n: sum((g[n] * w.detach()) ** 2 for g in each) / len(each) for n, w in module.matrices.items()}


WRITTEN = {
    "snip": (criteria.snip, 1, by_gates),
    "grasp": (criteria.grasp, 2, by_differences),
    "taylor": (OnBatches(criteria.taylor, 3), 3, by_taylor),
    "gradient": (OnBatches(criteria.gradient, 2), 2, lambda *at: {n: g.abs() for n, g in gradients(*at).items()}),
    "gradient_magnitude": (criteria.gradient_magnitude, 1, by_gates),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_prune_keeps_what_the_rewrite_keeps(name):
    criterion, count, rewrite = WRITTEN[name]
    masks, module, batches = pruned(criterion)
    assert len(batches) == (2 * count if name == "grasp" else count), "each once, and again for the Hessian"
    assert equal(masks, highest(rewrite(module, batches[:count])))


def test_synflow_keeps_what_its_closed_form_on_a_linear_chain_keeps():
    masks, module, batches = pruned(SynFlow(rounds=4), linear=True)
    assert not batches, "no data"
    one, two = (p.detach().abs() for p in module.matrices.values())
    size = one.numel() + two.numel()
    for k in range(1, 5):  # R = 1' |two| |one| 1, so that each score is what arrives times |w| times what leaves
        arrives, leaves = one.sum(1), two.sum(0)
        scores = torch.cat([(one * leaves[:, None]).flatten(), (two * arrives).flatten()])
        keep = round(size * (1 - SPARSITY) ** (k / 4))
        alive = scores >= scores.sort(descending=True).values[keep - 1]
        one, two = one * alive[: one.numel()].view_as(one), two * alive[one.numel() :].view_as(two)
    assert equal(masks, {name: w > 0 for name, w in zip(module.matrices, (one, two), strict=True)})
