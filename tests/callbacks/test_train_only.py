"""Only some parameters are trained in the cycles: the others stand still, whatever the optimizer."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins import MixedPrecision
from policies_in_runs import Watch
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import Images, equal, fit, make_trainer, toy
from zoo import Adversaries, Attentive, Regressor, lbfgs, perceptron, searching_lbfgs, vectors

from lightning_prune import IterativePruning, LRRewind, TrainOnly
from lightning_prune.callbacks.companions.train_only import parameters_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]
PARTS = {
    ("norm",): {"net.1.weight", "net.1.bias"},
    ("bias",): {"net.0.bias", "net.1.bias", "net.4.bias", "net.7.bias"},
    ("head",): {"net.7.weight", "net.7.bias"},
    ("norm", "head"): {"net.1.weight", "net.1.bias", "net.7.weight", "net.7.bias"},
    ("net.4",): {"net.4.weight", "net.4.bias"},
    ("net.?.weight", "net.0.bias"): {"net.0.weight", "net.1.weight", "net.4.weight", "net.7.weight", "net.0.bias"},
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001, momentum=0.9, weight_decay=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, weight_decay=0.01),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "unlooped": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True, weight_decay=0.01),
}


class States(Callback):
    """Keeps parameters and moments before every batch, and when the training ends."""

    def __init__(self):
        self.states, self.moments = [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.states.append({name: tensor.detach().clone() for name, tensor in pl_module.named_parameters()})
        names = {one: name for name, one in pl_module.named_parameters()}
        state = {names[p]: s for optimizer in trainer.optimizers for p, s in optimizer.state.items()}
        self.moments.append({n: {k: torch.as_tensor(v).clone() for k, v in s.items()} for n, s in state.items()})

    def on_train_end(self, trainer, pl_module):
        self.on_train_batch_start(trainer, pl_module)


def moved(states, begin, end):
    return {name for name in states[0] if not torch.equal(states[begin][name], states[end][name])}


def run(parts, module=None, pruning=(), **options):
    states, watch = States(), Watch()
    callbacks = [IterativePruning(cycles=2, retrain=1, **dict(pruning)), LRRewind(), TrainOnly(parts), states, watch]
    trainer = fit(callbacks, module or toy(), max_epochs=2, **options)
    return trainer, states, watch


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_a_cycle_moves_its_parts_and_the_dense_run_everything(parts):
    trainer, states, watch = run(list(parts))
    everything = set(states.states[0])
    assert moved(states.states, 0, 11) == everything
    assert moved(states.states, 12, 17) == PARTS[parts]
    assert moved(states.states, 18, 24) == PARTS[parts], "and in the second cycle"
    assert watch.checked > 0
    assert all(one.requires_grad for one in trainer.lightning_module.parameters())
    assert set(parameters_of(trainer.lightning_module, parts)) == PARTS[parts]


@pytest.mark.parametrize("clip", [None, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_neither_momentum_nor_weight_decay_moves_the_others(optimizer, clip):
    module = toy(optimizer=optimizer, groups=(1.0, 0.5))
    trainer, states, _ = run(["bias"], module, gradient_clip_val=clip)
    assert moved(states.states, 0, 11) == set(states.states[0])
    assert moved(states.states, 12, 17) == PARTS[("bias",)] == moved(states.states, 18, 24)
    still = set(states.states[0]) - PARTS[("bias",)]
    assert equal({n: states.moments[12][n] for n in still}, {n: states.moments[17][n] for n in still})
    assert [len(group["params"]) for group in trainer.optimizers[0].param_groups] == [4, 4]


@pytest.mark.parametrize("state", ["mask", "keep"])
@pytest.mark.parametrize("optimizer", [lbfgs, searching_lbfgs])
def test_an_optimizer_with_one_history_of_all_parameters(optimizer, state):
    module = Regressor(perceptron(), optimizer)
    pruning = IterativePruning(cycles=1, retrain=2, optimizer_state=state)
    states = States()
    states.on_train_batch_start = lambda trainer, pl_module, *_: states.states.append(
        {name: tensor.detach().clone() for name, tensor in pl_module.named_parameters()}
    )
    make_trainer([pruning, TrainOnly(["bias"]), states], max_epochs=2).fit(module, vectors())
    assert moved(states.states, 0, 7) == set(states.states[0])
    assert moved(states.states, 8, 16) == {"network.0.bias", "network.2.bias"}


def test_only_what_is_trained_counts_for_the_norm_that_is_clipped():
    norms = []
    module = toy(optimizer=lambda p: torch.optim.SGD(p, lr=0.01))
    configure = module.configure_gradient_clipping

    def clip(optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        norms.append({n for n, one in module.named_parameters() if one.grad is not None})
        configure(optimizer, gradient_clip_val, gradient_clip_algorithm)

    module.configure_gradient_clipping = clip
    run(["head"], module, gradient_clip_val=1.0)
    assert norms[0] == {n for n, _ in module.named_parameters()}
    assert norms[-1] == PARTS[("head",)]


def test_manual_optimization_with_two_optimizers():
    module, states = Adversaries(), States()
    callbacks = [IterativePruning(cycles=1, retrain=2), TrainOnly(["generator.2", "discriminator.2"]), states]
    make_trainer(callbacks, max_epochs=2).fit(module, vectors())
    named = {name for name in states.states[0] if ".2." in name}
    assert moved(states.states, 8, 16) == named
    assert moved(states.states, 0, 7) == set(states.states[0])


class Bare(Regressor):
    """Steps an optimizer that Lightning does not see."""

    def __init__(self):
        super().__init__(perceptron())
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers(use_pl_optimizer=False)
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, index))
        optimizer.step()


def test_an_optimizer_that_is_stepped_unseen():
    states = States()
    make_trainer([IterativePruning(cycles=1, retrain=2), TrainOnly(["bias"]), states], max_epochs=2).fit(
        Bare(), vectors()
    )
    end = states.states[-1]
    begun = next(s for s in states.states if any((tensor == 0).sum() > 1 for tensor in s.values()))
    assert {name for name in end if not torch.equal(end[name], begun[name])} == {"network.0.bias", "network.2.bias"}


def test_accumulated_gradients():
    _, states, _ = run(["norm"], accumulate_grad_batches=2)
    assert moved(states.states, 18, 24) == PARTS[("norm",)]


def test_under_a_gradient_scaler():
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    _, states, _ = run(["norm"], plugins=[plugin])
    assert moved(states.states, 18, 24) == PARTS[("norm",)]


def test_every_normalization_layer_of_torch_is_one():
    kinds = {name: kind for name, kind in vars(nn).items() if name.rstrip("123d").endswith("Norm")}
    kinds = {name: kind for name, kind in kinds.items() if "Lazy" not in name and "LocalResponse" not in name}
    assert len(kinds) >= 10
    for name, kind in kinds.items():
        arguments = (2, 4) if name == "GroupNorm" else (4,)
        layer = kind(*arguments, affine=True) if "Instance" in name else kind(*arguments)
        network = nn.Sequential(nn.Linear(4, 4), layer)
        assert set(parameters_of(network, ["norm"])) == {f"1.{leaf}" for leaf, _ in layer.named_parameters()}, name


class Scale(nn.LayerNorm):
    """A normalization layer by what it derives from."""


class NormalizedLinear(nn.Linear):
    """A layer that is none, whatever it is called."""


def test_layers_of_other_names_and_attention():
    network = nn.Sequential(NormalizedLinear(4, 4), Scale(4), Attentive())
    assert set(parameters_of(network, ["norm"])) == {"1.weight", "1.bias"}
    assert "2.attention.in_proj_bias" in parameters_of(network, ["bias"])
    assert list(parameters_of(network, ["head"])) == ["2.head.weight", "2.head.bias"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"TrainOnly\(parts=\[\]\) has to be a list of names, such as"),
        ("norm", r"TrainOnly\(parts='norm'\) has to be a list of names"),
        ([3], r"TrainOnly\(parts=\[3\]\) has to be a list of names"),
    ],
)
def test_bad_arguments(parts, message):
    with pytest.raises(ValueError, match=message):
        TrainOnly(parts)


@pytest.mark.parametrize("part", ["norm", "layer4.*"])
def test_a_part_that_names_nothing_is_refused_before_training(part):
    with pytest.raises(ValueError, match=rf"'{part[:4]}.*names no parameter of Toy.*net\.1\.weight"):
        run(["bias", part], toy(plain=True))


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    resume_from_every_epoch(tmp_path, lambda: TrainOnly(["norm", "bias"]))


class Keep(Callback):
    def __init__(self, folder):
        self.folder, self.begun = folder, {}

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.current_epoch == 2 and not self.begun:
            self.begun = {name: tensor.detach().clone() for name, tensor in pl_module.named_parameters()}

    def on_train_end(self, trainer, pl_module):
        torch.save([self.begun, dict(pl_module.named_parameters())], self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_train_the_same_parts_and_miss_no_gradient(tmp_path):
    callbacks = [IterativePruning(cycles=1, retrain=2), TrainOnly(["norm", "head"]), Keep(tmp_path)]
    fit(callbacks, toy(), Images(batch=4), max_epochs=2, devices=2, strategy="ddp_fork")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert equal(one, other)
    assert moved(one, 0, 1) == PARTS[("norm", "head")]
