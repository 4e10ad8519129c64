"""``prune`` without a Trainer: exact budgets, dead weights that stay dead, and training loops of one's own."""

import copy
import gc
import io
import weakref

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

import lightning_prune as lp
from lightning_prune.callbacks.without_trainer.known_masks import _KNOWN

CRITERIA = [lp.magnitude, lp.random, *(getattr(lp.criteria, n) for n in ("gradient", "taylor", "snip", "grasp"))]


def network(seed=0, width=10):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(8, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, width),
        nn.Linear(width, 2),
    )


def batches(count=6, size=16):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, size, 8, generator=generator)
    return [(one, (one[:, 0] > 0).long()) for one in x]


def loss_of(module, batch):
    return cross_entropy(module(batch[0]), batch[1])


def dead(module):
    return {name: weight == 0 for name, weight in module.named_parameters() if weight.dim() > 1}


def count(module):
    return sum(int(mask.sum()) for mask in dead(module).values())


def train(module, optimizer, steps=4, clip=None):
    for batch in batches(steps):
        optimizer.zero_grad()
        loss_of(module, batch).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimizer.step()


@pytest.mark.filterwarnings("ignore:.*leaves no weight alive")
@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda one: one.__name__)
@pytest.mark.parametrize("allocation", [lp.globally, lp.layerwise, lp.erk, lp.lamp], ids=lambda one: one.__name__)
@pytest.mark.parametrize("sparsity", [0.0, 0.31, 0.8, 0.97])
def test_exactly_the_budget_lives(criterion, allocation, sparsity):
    module = network()
    masks = lp.prune(module, sparsity, allocation, criterion=criterion, batches=batches(), loss=loss_of)
    assert masks.alive == round((1 - sparsity) * 200)
    assert masks.size == 200
    assert count(module) == 200 - masks.alive
    assert all(torch.equal(~masks[name], found) for name, found in dead(module).items())


def test_the_largest_weights_stay_as_they_are():
    module = network()
    before = torch.cat([weight.detach().flatten() for weight in module.parameters() if weight.dim() > 1])
    lp.prune(module, 0.8)
    after = torch.cat([weight.detach().flatten() for weight in module.parameters() if weight.dim() > 1])
    cut = before.abs().sort(descending=True).values[39]
    assert torch.equal(after, torch.where(before.abs() >= cut, before, 0.0))


def test_snip_is_the_gradient_of_the_loss_times_the_weight_with_running_statistics():
    module, given = network(), batches()
    masks = lp.prune(copy.deepcopy(module), 0.5, criterion=lp.criteria.snip, batches=given, loss=loss_of)
    module[1].eval()
    torch.manual_seed(0)
    module[3].p = 0.0
    same = network()
    same[3].p = 0.0
    masks = lp.prune(same, 0.5, criterion=lp.criteria.snip, batches=given, loss=loss_of)
    loss_of(module, given[0]).backward()
    scores = torch.cat([(w * w.grad).abs().flatten() for w in module.parameters() if w.dim() > 1])
    cut = scores.sort(descending=True).values[99]
    expected = scores >= cut
    assert torch.equal(torch.cat([masks[name].flatten() for name in masks]), expected)


def test_synflow_asks_for_the_shape_of_the_input_only():
    module = network()
    with pytest.raises(ValueError, match=r"give prune\(batches=\.\.\.\)"):
        lp.prune(module, 0.8, criterion=lp.criteria.synflow)
    assert count(module) == 0
    assert lp.prune(module, 0.8, criterion=lp.criteria.synflow, batches=batches()).alive == 40


def test_measuring_leaves_no_trace():
    module = network().train()
    module[1].running_mean.add_(0.5)
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    lp.prune(module, 0.0, criterion=lp.criteria.taylor, batches=batches(), loss=loss_of)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert module.training
    assert all(weight.grad is None for weight in module.parameters())


@pytest.mark.filterwarnings("ignore:.*leaves no weight alive")
@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda one: one.__name__)
def test_a_second_call_goes_on_and_dead_weights_stay_dead(criterion):
    module = network()
    options = {"criterion": criterion, "batches": batches(), "loss": loss_of}
    first = lp.prune(module, 0.5, **options)
    gone = {name: found.clone() for name, found in dead(module).items()}
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(9.0)  # whatever becomes of them in between
    second = lp.prune(module, 0.8, **options)
    assert second is first
    assert second.alive == 40
    assert all(bool(found[gone[name]].all()) for name, found in dead(module).items())


def test_calls_with_other_selections_keep_both():
    module = network()
    lp.prune(module, 0.5, prunable=lp.Prunable(include=["0"]))
    masks = lp.prune(module, 0.9, prunable=lp.Prunable(include=["4"]))
    assert masks.alive == 40 + 10
    assert masks.size == 180
    assert int((module[0].weight == 0).sum()) == 40
    assert int((module[4].weight == 0).sum()) == 90


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "foreach": lambda p: torch.optim.AdamW(p, lr=0.01, foreach=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "groups": lambda p: torch.optim.SGD(
        [{"params": p[:2]}, {"params": p[2:4], "lr": 0.5}, {"params": p[4:], "weight_decay": 0.1}], lr=0.1, momentum=0.9
    ),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("trained_before", [False, True])
def test_dead_weights_and_their_moments_stay_zero_in_a_loop_of_ones_own(kind, trained_before):
    module = network()
    optimizer = OPTIMIZERS[kind](list(module.parameters()))
    if trained_before:
        train(module, optimizer)
    masks = lp.prune(module, 0.8, lp.layerwise)
    masks.hold(optimizer)
    for sparsity in (0.8, 0.9):  # an optimizer that is held once stays held
        assert lp.prune(module, sparsity, lp.layerwise) is masks
        gone = dead(module)
        train(module, optimizer)
        assert count(module) == round(200 * sparsity)
        for name, weight in module.named_parameters():
            for moment in optimizer.state[weight].values():
                if name in gone and isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                    assert not moment[gone[name]].any()
                    assert moment[~gone[name]].any()


def test_living_weights_are_trained_as_if_the_dead_ones_were_not_there():
    module, plain = network(), network()
    masks = lp.prune(module, 0.8)
    lp.prune(plain, 0.8)
    lp.forget_masks(plain)
    dropout = [one for net in (module, plain) for one in net if isinstance(one, nn.Dropout)]
    for one in dropout:
        one.p = 0.0
    held = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    masks.hold(held)
    velocity = {name: torch.zeros_like(weight) for name, weight in plain.named_parameters()}
    train(module, held)
    for batch in batches(4):  # the same by hand
        for weight in plain.parameters():
            weight.grad = None
        loss_of(plain, batch).backward()
        with torch.no_grad():
            for name, weight in plain.named_parameters():
                gradient = weight.grad * masks[name] if name in masks else weight.grad
                velocity[name] = 0.9 * velocity[name] + gradient
                weight -= 0.1 * velocity[name]
    for one, other in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_norms_that_are_clipped_by_count_living_weights_only():
    module = network()
    masks = lp.prune(module, 0.8)
    masks.hold(torch.optim.SGD(module.parameters(), lr=0.1))
    loss_of(module, batches()[0]).backward()
    for name, mask in masks.items():
        gradient = module.get_parameter(name).grad
        assert not gradient[~mask].any()
        assert gradient[mask].any()


def test_gradients_that_are_written_by_hand_train_no_dead_weight():
    module = network()
    optimizer = torch.optim.AdamW(module.parameters())
    lp.prune(module, 0.8).hold(optimizer)
    for weight in module.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert count(module) == 160
    weight = module[0].weight
    assert not optimizer.state[weight]["exp_avg"][weight == 0].any()


@pytest.mark.parametrize("fused", [False, True])
def test_a_grad_scaler_skips_steps_and_dead_weights_stay_dead(fused):
    module = network()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01, fused=fused)  # fused SGD skips badly, by itself
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    lp.prune(module, 0.8).hold(optimizer)
    for number, batch in enumerate(batches(30)):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(module, batch)
        scaler.scale(loss * (1e30 if number < 3 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        assert count(module) == 160
    assert scaler.get_scale() < 2.0**60  # it has skipped
    assert all(bool(weight.isfinite().all()) for weight in module.parameters())


def test_lbfgs_goes_through_a_closure():
    module = network()
    module[3].p = 0.0
    optimizer = torch.optim.LBFGS(module.parameters(), lr=0.1, max_iter=4)
    lp.prune(module, 0.8).hold(optimizer)
    batch = batches()[0]

    def closure():
        optimizer.zero_grad()
        loss = loss_of(module, batch)
        loss.backward()
        assert count(module) == 160  # within the step, too
        return loss

    optimizer.step(closure)
    assert count(module) == 160


def test_a_network_that_moves_to_another_type_or_device_takes_its_masks_along():
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    masks = lp.prune(module, 0.8)
    masks.hold(optimizer)
    module.double()
    for x, y in batches(2):
        cross_entropy(module(x.double()), y).backward()
        optimizer.step()
    assert count(module) == 160


def test_two_optimizers_are_held_and_another_one_is_refused():
    module = network()
    masks = lp.prune(module, 0.8)
    first = torch.optim.SGD(module[0].parameters(), lr=0.1, momentum=0.9)
    rest = torch.optim.AdamW([*module[4].parameters(), *module[5].parameters()])
    masks.hold(first)
    masks.hold(rest)
    masks.hold(rest)  # twice is once
    loss_of(module, batches()[0]).backward()
    first.step()
    rest.step()
    assert count(module) == 160
    assert repr(masks) == "NetworkMasks(80.0 % of 200 weights pruned in 3 tensors, held in SGD, held in AdamW)"
    with pytest.raises(ValueError, match="an optimizer of other weights"):
        masks.hold(torch.optim.SGD(copy.deepcopy(module).parameters(), lr=0.1))


def test_released_weights_are_free_and_apply_puts_the_zeros_back():
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    masks = lp.prune(module, 0.8)
    masks.hold(optimizer)
    masks.release()
    train(module, optimizer)
    assert count(module) < 160
    masks.apply_()
    assert count(module) == 160


def test_saved_and_loaded_a_loop_of_ones_own_ends_as_the_one_that_was_not_stopped():
    def begun():
        module = network()
        module[3].p = 0.0
        return module, torch.optim.AdamW(module.parameters(), lr=0.01)

    module, optimizer = begun()
    train(module, optimizer)
    masks = lp.prune(module, 0.5, criterion=lp.random)
    masks.hold(optimizer)
    train(module, optimizer)
    file = io.BytesIO()
    torch.save({"net": module.state_dict(), "optimizer": optimizer.state_dict(), "masks": masks.state_dict()}, file)

    def end(module, optimizer):
        lp.prune(module, 0.8, criterion=lp.random)
        train(module, optimizer)
        return torch.cat([tensor.flatten() for tensor in module.state_dict().values()])

    whole = end(module, optimizer)
    other, another = begun()
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other.load_state_dict(saved["net"])
    another.load_state_dict(saved["optimizer"])
    lp.load_masks(other, saved["masks"]).hold(another)
    assert torch.equal(end(other, another), whole)


def test_a_ticket_takes_the_masks_elsewhere(tmp_path):
    module = network()
    masks = lp.prune(module, 0.8, lp.layerwise)
    masks.save_ticket(tmp_path / "ticket.safetensors")
    for source in (tmp_path / "ticket.safetensors", lp.load_ticket(tmp_path / "ticket.safetensors")):
        other = network(seed=1)
        found = lp.load_masks(other, source)
        assert all(torch.equal(found[name], masks[name]) for name in masks)
        assert count(other) == 160
        assert found.prunes == 1
        assert found.sparsity == 0.8
    third = network(seed=2)
    more = lp.prune(third, 0.9, initial_masks=tmp_path / "ticket.safetensors")
    assert more.alive == 20
    assert all(not bool((more[name] & ~masks[name]).any()) for name in masks)


def test_zeros_are_dead_where_that_is_said():
    module = copy.deepcopy(network())
    lp.prune(module, 0.5)
    gone = dead(module)
    other = copy.deepcopy(module)  # a copy has no masks
    lp.prune(other, 0.8, criterion=lp.random, initial_masks="zeros")
    assert all(bool(found[gone[name]].all()) for name, found in dead(other).items())
    with pytest.raises(ValueError, match="this network has masks already"):
        lp.prune(module, 0.8, initial_masks="zeros")


def test_forgotten_masks_begin_anew_and_a_network_that_is_gone_leaves_none():
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    lp.prune(module, 0.8).hold(optimizer)
    lp.forget_masks(module)
    lp.forget_masks(module)
    train(module, optimizer)
    assert count(module) < 160
    assert lp.prune(module, 0.1).alive == 180
    assert module in _KNOWN
    gone = weakref.ref(module)
    del module, optimizer
    gc.collect()
    assert gone() is None


class Lit(LightningModule):
    def __init__(self, hold=False):
        super().__init__()
        self.net, self.hold = network(), hold

    def training_step(self, batch, _):
        return loss_of(self.net, batch)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        if self.hold:
            lp.prune(self, 0.8).hold(optimizer)
        return optimizer


def test_a_lightning_module_is_pruned_and_held_in_a_plain_trainer(tmp_path):
    module = Lit(hold=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    Trainer(max_epochs=2, default_root_dir=tmp_path, enable_checkpointing=False, **quiet).fit(
        module, DataLoader(batches(), batch_size=None)
    )
    assert count(module) == 160
    lit = Lit()
    step = lp.prune(lit, 0.8, criterion=lp.criteria.snip, batches=batches(), loss=lambda m, b: m.training_step(b, 0))
    assert step.alive == 40
    assert list(step) == ["net.0.weight", "net.4.weight", "net.5.weight"]


def test_a_checkpoint_of_a_pruned_module_is_plain():
    module = network()
    lp.prune(module, 0.8).hold(torch.optim.SGD(module.parameters(), lr=0.1))
    fresh = network(seed=3)
    fresh.load_state_dict(module.state_dict())
    assert count(fresh) == 160
    assert count(copy.deepcopy(module)) == 160
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    assert count(torch.load(file, weights_only=False)) == 160


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sparsity": 80}, r"prune\(sparsity=80\) must be a number in \[0, 1\).*sparsity=0.8"),
        ({"sparsity": 1.0}, "must be a number in"),
        ({"sparsity": -0.1}, "must be a number in"),
        ({"sparsity": True}, "must be a number in"),
        ({"sparsity": lp.OneShot(0.7)}, r"sparsity=0\.7"),
        ({"sparsity": 0.999}, "keeps none of 200"),
        ({"allocation": "layerwise"}, r"prune\(allocation='layerwise'\).*lightning_prune.allocation.layerwise"),
        ({"criterion": lp.criteria.SynFlow}, r"prune\(criterion=SynFlow\) is the class"),
        ({"criterion": lp.criteria.movement}, "looks at the weights of an earlier moment"),
        ({"criterion": lp.criteria.taylor}, r"prune\(criterion=.*taylor\) takes gradients of a loss on batches: give"),
        ({"criterion": lp.criteria.snip, "batches": [], "loss": loss_of}, "has no batch"),
        ({"criterion": lp.criteria.snip, "batches": batches(), "loss": lambda m, b: 0.5}, r"returned 0\.5: return"),
        ({"criterion": lp.criteria.snip, "batches": batches(), "loss": lambda m, b: m(b[0])}, r"shape \(16, 2\)"),
        ({"prunable": ["0"]}, r"prune\(prunable=\['0'\]\).*Prunable\(include=\['0'\]\)"),
        ({"prunable": lambda module: []}, "returned a list"),
        ({"prunable": lp.Prunable(exclude=["*"])}, r"nothing to prune.*Give prune\(prunable="),
        ({"initial_masks": "nowhere.safetensors"}, r"prune\(initial_masks='nowhere.safetensors'\) is not a file"),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(options, error):
    module = network()
    with pytest.raises(ValueError, match=error):
        lp.prune(module, **{"sparsity": 0.8, **options})
    assert count(module) == 0
    assert module not in _KNOWN


def test_a_tensor_that_is_emptied_is_pointed_out():
    with pytest.warns(UserWarning, match=r"prune\(sparsity=0.97\) leaves no weight alive in "):
        lp.prune(network(), 0.97)


def test_weights_do_not_come_back_and_do_not_diverge():
    module = network()
    lp.prune(module, 0.8)
    with pytest.raises(ValueError, match="would bring weights back: 0.8 of"):
        lp.prune(module, 0.5)
    with torch.no_grad():
        module[4].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="1 weights of '4.weight' are NaN"):
        lp.prune(module, 0.9)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({}, "'format' is missing"),
        (lambda state: {**state, "masks": {"0.weight": 3}}, "is a int"),
        (lambda state: {**state, "shapes": {**state["shapes"], "9.weight": [2, 2]}}, "another network.*9.weight"),
        (lambda state: {**state, "shapes": {**state["shapes"], "0.weight": [2, 2]}}, "another network.*0.weight"),
        (lambda state: {**state, "masks": {**state["masks"], "0.weight": torch.zeros(3, dtype=torch.uint8)}}, "bytes"),
        (
            lambda state: {**state, "masks": {**state["masks"], "8.weight": torch.zeros(3, dtype=torch.uint8)}},
            "8.weight",
        ),
    ],
)
def test_masks_of_another_network_are_refused(source, error):
    state = lp.prune(network(), 0.8).state_dict()
    module = network()
    with pytest.raises(ValueError, match=error):
        lp.load_masks(module, source(state) if callable(source) else source)
    assert count(module) == 0


def test_whole_rows_die_together_and_a_second_call_goes_on():
    module = network()
    options = {"granularity": lp.Filters(), "prunable": lp.Prunable(exclude=["5"])}
    masks = lp.prune(module, 0.5, lp.layerwise, **options)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    masks.hold(optimizer)
    first = {name: mask.clone() for name, mask in masks.items()}
    for sparsity, rows in ((0.5, 5), (0.8, 2)):
        assert lp.prune(module, sparsity, lp.layerwise, **options) is masks
        train(module, optimizer)
        for name in ("0.weight", "4.weight"):
            living = module.get_parameter(name).abs().sum(1) > 0
            assert int(living.sum()) == rows
            assert torch.equal(masks[name].any(1), living)
            assert torch.equal(masks[name].all(1), living)
            assert not (masks[name] & ~first[name]).any()


def test_structures_die_with_their_norms_and_are_found_on_a_batch():
    module = network()
    masks = lp.prune(module, 0.4, granularity=lp.Structures(), batches=batches())
    gone = ~masks["0.weight"].any(1)
    assert bool(gone.any())
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    masks.hold(optimizer)
    train(module, optimizer)
    for tensor in (module[0].weight, module[0].bias, module[1].weight, module[1].bias):
        assert not tensor[gone].any()
    with pytest.raises(ValueError, match=r"prune\(granularity='rows'\) is no granularity"):
        lp.prune(network(), 0.4, granularity="rows")


def test_half_of_the_operations_are_pruned_and_removed():
    module, (batch, *_) = network(), batches()
    before = lp.structures_of(module, batch[0]).costs.count().flops
    lp.prune(module, 0.5, granularity=lp.Structures(), measure="flops", batches=batches())
    lp.shrink(module, example=batch[0])
    after = lp.structures_of(module, batch[0]).costs.count().flops
    assert 0.4 < after / before < 0.6
    with pytest.raises(ValueError, match=r"prune\(measure='flops', granularity=Filters\(.*give granularity=Structures"):
        lp.prune(network(), 0.5, granularity=lp.Filters(), measure="flops", batches=batches())
