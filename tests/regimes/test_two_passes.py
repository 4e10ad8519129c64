"""Optimizers that ask for the loss twice: their formulas, and that all else sees one step."""

import copy
import math
from functools import partial

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch import Callback
from processes import in_processes
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import STEPS, Images, equal, fit, make_trainer, toy

import lightning_prune as lp
from lightning_prune import SAFE, SAM, CrAM, IterativePruning, LRRewind, OneShot
from lightning_prune.criteria import snip
from lightning_prune.masks.optimizer_state import reset_

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=1e-2)
ADAMW = partial(torch.optim.AdamW, lr=0.01)
KINDS = {
    "sam": partial(SAM, base=SGD, rho=0.5),
    "asam": partial(SAM, base=ADAMW, rho=0.5, adaptive=True),
    "cram": partial(CrAM, base=SGD),
    "safe": partial(SAFE, base=ADAMW, sparsity=0.5, steps=20, interval=3, penalty=0.1),
}
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def task(seed=0):
    """A network without BatchNorm, its data, and its loss."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs, labels = torch.randn(12, 5).double(), torch.arange(12) % 3
    return network, lambda: nn.functional.cross_entropy(network(inputs), labels)


def train(network, loss, optimizer, steps):
    def closure():
        optimizer.zero_grad()
        found = loss()
        found.backward()
        return found

    for _ in range(steps):
        optimizer.step(closure)
    return [weight.detach().clone() for weight in network.parameters()]


def gradients_at(network, loss, weights):
    """The gradients at other weights."""
    kept = [weight.detach().clone() for weight in network.parameters()]
    put(network, weights)
    found = torch.autograd.grad(loss(), list(network.parameters()))
    put(network, kept)
    return found


def put(network, weights):
    with torch.no_grad():
        for weight, new in zip(network.parameters(), weights, strict=True):
            weight.copy_(new)


def rewritten(direction, steps, base=SGD, state=None):
    """Train by a rewrite: ``direction`` maps the network, its loss, the weights and the step to gradients."""
    network, loss = task()
    optimizer = base(network.parameters())
    for step in range(steps):
        weights = [weight.detach().clone() for weight in network.parameters()]
        for weight, gradient in zip(network.parameters(), direction(network, loss, weights, step), strict=True):
            weight.grad = gradient
        optimizer.step()
    return [weight.detach() for weight in network.parameters()]


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def close(one, other):
    return torch.allclose(flat(one), flat(other), atol=1e-9, rtol=0)


@pytest.mark.parametrize("base", [SGD, ADAMW])
def test_sam_is_its_formula(base):
    def direction(network, loss, weights, _):
        plain = gradients_at(network, loss, weights)
        norm = flat(plain).norm()
        return gradients_at(network, loss, [w + 0.5 * g / norm for w, g in zip(weights, plain, strict=True)])

    network, loss = task()
    assert close(train(network, loss, SAM(network.parameters(), base, 0.5), 5), rewritten(direction, 5, base))


@every_kind
def test_a_loop_may_set_the_gradients_to_zero_itself(make):
    network, loss = task()
    optimizer = make(network.parameters())

    def closure():
        loss().backward()

    for _ in range(3):
        optimizer.zero_grad()
        optimizer.step(closure)
    other, other_loss = task()
    assert equal([w.detach() for w in network.parameters()], train(other, other_loss, make(other.parameters()), 3))


def test_adaptive_sam_is_its_formula():
    def direction(network, loss, weights, _):
        plain = gradients_at(network, loss, weights)
        norm = flat([w.abs() * g for w, g in zip(weights, plain, strict=True)]).norm()
        return gradients_at(network, loss, [w + 0.5 * w**2 * g / norm for w, g in zip(weights, plain, strict=True)])

    network, loss = task()
    assert close(train(network, loss, SAM(network.parameters(), SGD, 0.5, adaptive=True), 5), rewritten(direction, 5))


def masks_of(tensors, sparsity):
    sizes = sorted(flat([tensor for tensor in tensors if tensor.dim() > 1]).abs().tolist())
    cut = sizes[int(sparsity * len(sizes)) - 1]
    return [tensor.abs() > cut if tensor.dim() > 1 else torch.ones_like(tensor, dtype=torch.bool) for tensor in tensors]


def test_cram_is_its_formula():
    network, loss = task()
    optimizer = CrAM(network.parameters(), SGD, rho=0.3, sparsities=[0.25, 0.5, 0.75])
    drawn = [optimizer.sparsity_at(step) for step in range(6)]
    assert len(set(drawn)) > 1

    def direction(network, loss, weights, step):
        plain = gradients_at(network, loss, weights)
        moved = [w + 0.3 * g for w, g in zip(weights, plain, strict=True)]
        masks = masks_of(moved, drawn[step])
        sparse = gradients_at(network, loss, [w * m for w, m in zip(moved, masks, strict=True)])
        return [g + m * s for g, s, m in zip(plain, sparse, masks, strict=True)]

    assert close(train(network, loss, optimizer, 6), rewritten(direction, 6))


@pytest.mark.parametrize("base", [SGD, ADAMW])
def test_safe_is_its_formula(base):
    network, loss = task()
    copies = {}

    def direction(network, loss, weights, step):
        if step == 0:
            copies["z"] = [w * m for w, m in zip(weights, masks_of(weights, 0.5), strict=True)]
            copies["u"] = [torch.zeros_like(w) for w in weights]
        elif step % 3 == 0:
            sums = [w + u for w, u in zip(weights, copies["u"], strict=True)]
            copies["z"] = [s * m for s, m in zip(sums, masks_of(sums, 0.5), strict=True)]
            copies["u"] = [s - z for s, z in zip(sums, copies["z"], strict=True)]
        plain = gradients_at(network, loss, weights)
        moved = [w + 0.1 * g / flat(plain).norm() for w, g in zip(weights, plain, strict=True)]
        pull = 0.2 * (1 - math.cos(math.pi * step / 8)) / 2
        found = zip(weights, gradients_at(network, loss, moved), copies["z"], copies["u"], strict=True)
        return [g + pull * (w - z + u) if w.dim() > 1 else g for w, g, z, u in found]

    optimizer = SAFE(network.parameters(), base, sparsity=0.5, steps=8, penalty=0.2, interval=3)
    assert close(train(network, loss, optimizer, 8), rewritten(direction, 8, base))


def test_safe_ends_nearer_to_a_sparse_network_than_its_base():
    def lost(optimizer_of):
        network, loss = task()
        weights = [w for w in train(network, loss, optimizer_of(network.parameters()), 300) if w.dim() > 1]
        kept = [w * m for w, m in zip(weights, masks_of(weights, 0.5), strict=True)]
        return float((flat(weights) - flat(kept)).norm() / flat(weights).norm())

    plain = partial(torch.optim.SGD, lr=0.1)
    assert lost(partial(SAFE, base=plain, sparsity=0.5, steps=300, penalty=0.5)) < 0.5 * lost(plain)


@pytest.mark.parametrize("base", [SGD, ADAMW, partial(torch.optim.Adagrad, lr=0.1)])
def test_without_a_move_a_pruned_run_is_that_of_the_base_bit_for_bit(base):
    """With dropout, BatchNorm, a shuffled loader, and a reset of the optimizer at each prune."""

    def run(optimizer):
        data = Images(shuffle=True)
        pruning = IterativePruning(cycles=2, retrain=1, optimizer_state="reset")
        trainer = fit([pruning, LRRewind()], toy(optimizer=optimizer), data, max_epochs=3)
        return trainer.lightning_module.state_dict(), torch.get_rng_state(), trainer.global_step

    assert equal(run(partial(SAM, base=base, rho=0)), run(base))


class Passes(Callback):
    """Counts passes and steps, and sees the prunable weights in every pass."""

    def __init__(self):
        self.passes, self.steps, self.revived = 0, 0, 0

    def on_fit_start(self, trainer, pl_module):
        (optimizer,) = trainer.optimizers
        optimizer.register_step_post_hook(lambda *_: setattr(self, "steps", self.steps + 1))
        pl_module.net.register_forward_pre_hook(lambda net, _: self.look(trainer, net))

    def look(self, trainer, net):
        self.passes += net.training
        weights = dict(trainer.lightning_module.named_parameters())
        for name, mask in next(c for c in trainer.callbacks if isinstance(c, IterativePruning)).masks.items():
            self.revived += int(weights[name][~mask].count_nonzero())

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 0 and self.passes:
            raise AssertionError


@every_kind
def test_dead_weights_stay_dead_in_both_passes_and_a_step_is_one_step(make):
    seen = Passes()
    pruning = IterativePruning(cycles=2, retrain=1, sparsity=lp.Levels([0.5, 0.8]))
    trainer = fit([pruning, LRRewind(), seen], toy(optimizer=make), max_epochs=2)
    steps = 4 * STEPS
    assert (trainer.global_step, seen.steps, seen.passes, seen.revived) == (steps, steps, 2 * steps, 0)
    assert trainer.lightning_module.net[1].num_batches_tracked == steps
    assert pruning.measured_sparsity == pytest.approx(0.8, abs=0.01)
    assert all(bool(one.isfinite().all()) for one in trainer.lightning_module.parameters())


@pytest.mark.filterwarnings("ignore:FineTune.. repeats the last dense learning rate, which is 0")
def test_a_gradient_criterion_sees_the_plain_gradient():
    """With a learning rate of 0 both runs prune the same network."""
    still = partial(torch.optim.SGD, lr=0.0)

    def masks(optimizer):
        pruning = IterativePruning(cycles=1, retrain=1, sparsity=OneShot(0.5), criterion=snip)
        fit([pruning], toy(optimizer=optimizer, scheduler=None), max_epochs=1)
        return pruning.masks

    assert equal(masks(partial(SAM, base=still, rho=100.0)), masks(still))


@pytest.mark.filterwarnings("ignore:.*not a leaf Tensor")  # of the values that Lightning logs
@pytest.mark.parametrize("compiled", ["part", "in place", pytest.param("whole", marks=pytest.mark.slow)])
def test_compiled_networks_take_batch_statistics_once_too(compiled):
    module = toy(optimizer=KINDS["sam"], dropout=0.0)
    norm = module.net[1]
    if compiled == "part":
        module.net = torch.compile(module.net, backend="eager")
    elif compiled == "in place":
        module.net.compile(backend="eager")
    else:
        module = torch.compile(module, backend="eager")
    fit([], module, max_epochs=1)
    assert norm.num_batches_tracked == STEPS
    torch._dynamo.reset()


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=kind, marks=[] if kind == "safe" else pytest.mark.slow) for kind, make in KINDS.items()],
)
def test_resumed_is_uninterrupted(tmp_path, monkeypatch, make):
    monkeypatch.setattr("resumed_runs.toy", partial(toy, optimizer=make))
    resume_from_every_epoch(tmp_path, LRRewind)


@every_kind
def test_a_copy_goes_on_as_the_original_and_saves_as_its_base(make):
    network, loss = task()
    optimizer = make(network.parameters())
    train(network, loss, optimizer, 4)
    other, again = copy.deepcopy((network, optimizer))
    assert again.param_groups is again.base.param_groups
    assert again.state is again.base.state
    inputs = [one.cell_contents for one in loss.__closure__ if isinstance(one.cell_contents, torch.Tensor)]
    inputs.sort(key=lambda one: -one.dim())
    ours = train(network, loss, optimizer, 4)
    theirs = train(other, lambda: nn.functional.cross_entropy(other(inputs[0]), inputs[1]), again, 4)
    assert equal(ours, theirs)


def test_loading_a_state_links_it_to_the_base():
    network, loss = task()
    optimizer = KINDS["safe"](network.parameters())
    train(network, loss, optimizer, 4)
    other, other_loss = task()
    put(other, [w.detach() for w in network.parameters()])
    again = KINDS["safe"](other.parameters())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert (again.steps_taken, again.state is again.base.state) == (4, True)
    assert equal(train(network, loss, optimizer, 4), train(other, other_loss, again, 4))


def test_a_new_parameter_group_is_trained():
    network, loss = task()
    optimizer = SAM(network[0].parameters(), ADAMW)
    before = network[2].weight.detach().clone()
    optimizer.add_param_group({"params": list(network[2].parameters()), "lr": 0.1})
    train(network, loss, optimizer, 2)
    assert optimizer.base.param_groups[1]["betas"] == (0.9, 0.999)
    assert not torch.equal(network[2].weight, before)


def test_a_reset_begins_the_state_of_an_adagrad_inside():
    network, loss = task()
    optimizer = SAM(network.parameters(), partial(torch.optim.Adagrad, lr=0.1))
    reset_(optimizer)
    train(network, loss, optimizer, 1)


def test_a_network_pruned_by_hand_stays_sparse():
    network, loss = task()
    masks = lp.prune(network, sparsity=0.5)
    optimizer = SAM(network.parameters(), SGD, rho=0.5)
    masks.hold(optimizer)
    train(network, loss, optimizer, 5)
    assert sum(int((one == 0).sum()) for one in network.parameters()) == 16


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.filterwarnings("ignore:.*bf16")
def test_low_precision_trains_and_puts_the_weights_back_exactly(precision):
    still = partial(torch.optim.SGD, lr=0.0)
    module = toy(optimizer=partial(SAM, base=still, rho=0.7), scheduler=None, plain=True)
    before = {name: one.detach().clone() for name, one in module.named_parameters()}
    trainer = fit([], module, max_epochs=1, precision=precision)
    assert trainer.global_step == STEPS
    assert all(torch.equal(one, before[name].to(one.dtype)) for name, one in module.named_parameters())
    pruning = IterativePruning(cycles=1, retrain=1, sparsity=OneShot(0.5))
    fit([pruning], toy(optimizer=KINDS["sam"], plain=True), max_epochs=1, precision=precision)
    assert pruning.measured_sparsity == pytest.approx(0.5, abs=0.01)


class ByHand(LightningModule):
    def __init__(self, gives_closure):
        super().__init__()
        self.automatic_optimization = False
        self.layer, self.gives_closure = nn.Linear(36, 3), gives_closure

    def training_step(self, batch, _):
        optimizer = self.optimizers()

        def closure():
            optimizer.zero_grad()
            self.manual_backward(nn.functional.cross_entropy(self.layer(batch[0].flatten(1)), batch[1]))

        if self.gives_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()

    def configure_optimizers(self):
        return KINDS["sam"](self.parameters())


def test_manual_optimization_works_with_a_closure_and_is_refused_without():
    module = ByHand(gives_closure=True)
    before = module.layer.weight.detach().clone()
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, Images().train_dataloader())
    assert trainer.global_step == STEPS
    assert not torch.equal(module.layer.weight, before)
    with pytest.raises(lp.UserError, match="manual optimization"):
        make_trainer(max_epochs=1).fit(ByHand(gives_closure=False), Images().train_dataloader())


def test_what_cannot_be_asked_twice_is_refused():
    with pytest.raises(lp.UserError, match="accumulate_grad_batches=1"):
        fit([], toy(optimizer=KINDS["sam"]), max_epochs=1, accumulate_grad_batches=2)
    network, _ = task()
    with pytest.raises(lp.UserError, match=r"SAM\.step\(\) was called without a closure"):
        KINDS["sam"](network.parameters()).step()
    with pytest.raises(lp.UserError, match=r"SAM\(base=LBFGS\)"):
        SAM(network.parameters(), torch.optim.LBFGS)
    with pytest.raises(lp.UserError, match=r"SAM\(rho=-1\)"):
        SAM(network.parameters(), SGD, rho=-1)
    with pytest.raises(lp.UserError, match=r"CrAM\(sparsities="):
        CrAM(network.parameters(), SGD, sparsities=[1.0])


def test_a_failed_pass_leaves_the_weights_where_they_were():
    network, loss = task()
    before = flat(network.parameters()).detach().clone()
    optimizer = SAM(network.parameters(), SGD, rho=0.5)
    calls = []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        optimizer.zero_grad()
        loss().backward()

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert torch.equal(flat(network.parameters()).detach(), before)


@pytest.mark.filterwarnings("ignore:.*returned `None`")
def test_a_batch_without_a_loss_is_left_out():
    class Skipping(type(toy())):
        def training_step(self, batch, index):
            return None if index % 2 else super().training_step(batch, index)

    module = Skipping(optimizer=KINDS["safe"])
    fit([], module, max_epochs=1)
    assert module.net[1].num_batches_tracked == STEPS // 2


def _train_in_a_group(folder, kind, processes):
    module = toy(optimizer=KINDS[kind], plain=True)
    strategy = "ddp" if processes > 1 else "auto"
    pruning = IterativePruning(cycles=1, retrain=1, sparsity=OneShot(0.5))
    data = Images(batch=16 // processes)
    trainer = fit([pruning], module, data, max_epochs=2, devices=processes, strategy=strategy, limit_val_batches=0)
    torch.save(module.state_dict(), folder / f"{processes}-{trainer.global_rank}.pt")


@pytest.mark.parametrize("kind", ["sam", pytest.param("asam", marks=pytest.mark.slow), "cram", "safe"])
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path, kind):
    in_processes(2, _train_in_a_group, tmp_path, kind, 2)
    _train_in_a_group(tmp_path, kind, 1)
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1"))
    assert equal(first, second)
    assert all(torch.allclose(one[name], first[name], atol=1e-4) for name in one)
