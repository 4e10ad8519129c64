"""Low-rank adapters of sparse weights: the gradients of autograd, the zeros, the resume, and several processes."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins import MixedPrecision
from processes import in_processes
from resumed_runs import resume_from_every_epoch
from toys import Images, equal, fit, make_trainer, toy
from zoo import Adversaries, Regressor, lbfgs, perceptron, vectors

from lightning_prune import Geometric, IterativePruning, LRRewind, MaskedLoRA, ScaledLoRA
from lightning_prune.callbacks.companions.low_rank import added_to, scaling
from lightning_prune.callbacks.cycle import Cycle

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
KINDS = {"masked": lambda **o: MaskedLoRA(rank=2, **o), "scaled": lambda **o: ScaledLoRA(rank=2, **o)}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
ADAPTED, OTHERS = (
    {"net.0.weight", "net.4.weight"},
    {"net.0.bias", "net.1.weight", "net.1.bias", "net.4.bias", "net.7.weight", "net.7.bias"},
)


class States(Callback):
    def __init__(self):
        self.states, self.moments = [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.states.append({name: one.detach().clone() for name, one in pl_module.named_parameters()})
        names = {one: name for name, one in pl_module.named_parameters()}
        moments = trainer.optimizers[0].state.items()
        self.moments.append({names[p]: state["momentum_buffer"].clone() for p, state in moments})

    def on_train_end(self, trainer, pl_module):
        self.on_train_batch_start(trainer, pl_module)


def run(callback, module=None, cycles=2, **options):
    states = States()
    pruning = IterativePruning(cycles=cycles, retrain=2, sparsity=Geometric(0.5))
    trainer = fit([pruning, LRRewind(to="1ep"), callback, states], module or toy(), max_epochs=3, **options)
    return trainer, states, pruning


def moved(one, other):
    return {name for name in one if not torch.equal(one[name], other[name])}


@every_kind
def test_a_cycle_moves_living_weights_and_the_parts_and_leaves_the_optimizers_state_of_the_weights(kind):
    trainer, states, pruning = run(kind(learning_rate=0.05))
    begun, first, last = states.states[18], states.states[29], states.states[-1]
    assert moved(begun, first) == ADAPTED | OTHERS == moved(first, last)
    for name in ADAPTED:
        mask = pruning.masks[name]
        assert all(not state[name][~mask].any() for state in states.states[30:])
        assert (begun[name] != first[name])[mask].float().mean() > 0.9, "all that lives may move"
        assert torch.equal(states.moments[18][name], states.moments[29][name])
    assert [len(group["params"]) for group in trainer.optimizers[0].param_groups] == [8]
    assert equal(states.states[17], run(kind(), cycles=1)[1].states[17]), "the dense run is as without adapters"


def test_a_cycle_ends_at_the_formula_of_its_adapters():
    callback = MaskedLoRA(rank=2, learning_rate=0.05)
    _, states, _ = run(callback, cycles=1)
    for name, change in callback._changes.items():
        product = (change.second @ change.first).detach().view(change.base.shape)
        formula = states.states[18][name] + 16 * product * (states.states[18][name] != 0)
        assert torch.equal(states.states[-1][name], formula)
    assert callback._changes.keys() == ADAPTED


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 2, 2)])
@every_kind
def test_the_gradients_are_those_of_autograd(kind, shape):
    weight = torch.randn(shape) * (torch.rand(shape) < 0.5)
    change = kind().change_of(weight, "w", Cycle(1, 0, 5, 0.5))
    for one in (change.first, change.second):
        torch.nn.init.normal_(one)
    first, second = (one.detach().clone().requires_grad_() for one in (change.first, change.second))
    product = (second @ first).view(shape)
    merged = weight * product if change.strength is None else weight + change.strength * product * (weight != 0)
    target = torch.randn(shape)
    (merged - target).square().sum().backward()
    assert torch.allclose(change.merged(), merged.detach())
    change.take_gradient_(2 * (merged - target).detach())
    assert torch.allclose(change.first.grad, first.grad, atol=1e-4)
    assert torch.allclose(change.second.grad, second.grad, atol=1e-4)


@pytest.mark.slow
def test_without_a_dead_weight_the_merged_weight_is_that_of_peft():
    peft = pytest.importorskip("peft")
    layer = torch.nn.Linear(6, 4)
    model = peft.get_peft_model(torch.nn.Sequential(layer), peft.LoraConfig(r=2, lora_alpha=5, target_modules=["0"]))
    change = added_to(layer.weight, 2, 5.0, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(change.second)
    made = dict(model.named_modules())["base_model.model.0"]
    made.lora_A["default"].weight.data.copy_(change.first)
    made.lora_B["default"].weight.data.copy_(change.second)
    merged = change.merged()
    assert torch.allclose(model.merge_and_unload()[0].weight, merged, atol=1e-6)


def test_equal_components_stay_equal_where_they_scale():
    change = scaling(torch.randn(4, 6), 3)
    change.take_gradient_(torch.randn(4, 6))
    assert all(torch.equal(change.first.grad[0], row) for row in change.first.grad)
    assert torch.linalg.matrix_rank(change.second.detach() - change.second.grad) == 1


def test_the_rate_rises_and_falls_in_lines():
    callback, cycle = MaskedLoRA(learning_rate=1.0, warmup=0.4), Cycle(1, 0, 10, 0.5)
    rates = [round(callback.rate(step, cycle), 4) for step in range(10)]
    assert rates == [0.25, 0.5, 0.75, 1.1667, 1.0, 0.8333, 0.6667, 0.5, 0.3333, 0.1667]


@pytest.mark.slow
@every_kind
def test_a_fit_goes_on_from_every_epoch_as_if_it_had_not_been_interrupted(kind, tmp_path):
    resume_from_every_epoch(tmp_path, lambda: kind(learning_rate=0.05))


def test_a_step_that_overflows_moves_no_adapter():
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**60, growth_interval=1000))
    _, states, _ = run(MaskedLoRA(rank=2), toy(scheduler=None), cycles=1, plugins=[plugin])
    assert all(one.isfinite().all() for one in states.states[-1].values())


def on_two(folder):
    module = toy(plain=True)
    pruning = IterativePruning(cycles=1, retrain=1)
    fit([pruning, MaskedLoRA(parts=["bias"])], module, Images(batch=4), max_epochs=1, devices=2, strategy="ddp")
    torch.save(module.state_dict(), folder / f"{torch.distributed.get_rank()}.pt")


def test_two_processes_hold_the_same_weights(tmp_path):
    in_processes(2, on_two, tmp_path)
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert equal(one, two)
    assert (one["net.1.weight"] == 0).any()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Adversaries, "MaskedLoRA cannot train adapters here: Adversaries optimizes by hand"),
        (lambda: Regressor(perceptron(), lbfgs), "LBFGS asks for the loss several times in a step"),
    ],
)
def test_what_adapters_cannot_do_is_refused_before_the_training(module, said):
    trainer = make_trainer([IterativePruning(cycles=1, retrain=1), MaskedLoRA(parts=["bias"])], max_epochs=1)
    with pytest.raises(ValueError, match=said):
        trainer.fit(module(), vectors())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rank": 0}, "rank=0"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"warmup": 2}, "warmup=2"),
        ({"learning_rate": -1}, "-1"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        MaskedLoRA(**arguments)


def test_parts_that_leave_nothing_to_adapt_are_refused():
    with pytest.raises(ValueError, match="leaves no prunable weight that could be adapted"):
        run(MaskedLoRA(parts=["net"]))
