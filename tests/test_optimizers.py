"""Every optimizer of torch: dead weights stay zero, their moments die with them, and a resumed run is the same run."""

import inspect

import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn, optim
from toys import STEPS, Images, equal, fit, seed_everything

from lightning_prune import IterativePruning, LRRewind, Prunable, WeightRewind
from lightning_prune.optimizers import is_elementwise, reset_

pytestmark = [
    pytest.mark.filterwarnings("ignore:The dirpath has changed from"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`"),
]

KINDS = {
    name: kind
    for name, kind in vars(optim).items()
    if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
}
FLAGS = ("foreach", "fused", "capturable", "differentiable", "amsgrad", "centered", "nesterov")
MIXING = {"Adafactor", "Muon", "LBFGS"}


def steps(kind, options):
    """Whether torch steps with these options on a CPU, without us."""
    weight = nn.Parameter(torch.ones(2, 3))
    optimizer = kind([weight], **options)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.embedding(torch.tensor([0]), weight, sparse=kind is optim.SparseAdam).sum()
        loss.backward()
        return loss

    try:
        optimizer.step(closure)
    except (AssertionError, RuntimeError) as error:
        return not any(words in str(error) for words in ("If capturable=True", "a leaf Variable that requires grad"))
    return True


def variants():
    for name, kind in KINDS.items():
        arguments = inspect.signature(kind).parameters
        momentum = {"momentum": 0.9} if "momentum" in arguments else {}
        yield pytest.param(kind, momentum, id=name)
        for flag in FLAGS:
            options = {**momentum, flag: True}
            if flag in arguments and steps(kind, options):
                yield pytest.param(kind, options, id=f"{name} {flag}")


VARIANTS = list(variants())
every_variant = pytest.mark.parametrize(("kind", "options"), VARIANTS)
every_state = pytest.mark.parametrize(("kind", "options"), [one for one in VARIANTS if "foreach" not in one.id])
every_kind = pytest.mark.parametrize(("kind", "options"), [one for one in VARIANTS if " " not in one.id])


class Matrices(LightningModule):
    """Nothing but weight matrices, which is all that Muon takes; a table in the place of the first for SparseAdam."""

    def __init__(self, kind, **options):
        seed_everything(0, verbose=False)
        super().__init__()
        self.kind, self.options, self.sparse = kind, options, kind is optim.SparseAdam
        if self.sparse:
            self.table = nn.EmbeddingBag(36, 3, mode="sum", sparse=True)
        else:
            self.net = nn.Sequential(nn.Linear(36, 16, bias=False), nn.Tanh(), nn.Linear(16, 3, bias=False))

    def training_step(self, batch, index):
        images = batch[0].flatten(1)
        scores = self.table(images.topk(8).indices) if self.sparse else self.net(images)
        return nn.functional.cross_entropy(scores, batch[1])

    def configure_optimizers(self):
        return self.kind(self.parameters(), **self.options)


def dead_of(module):
    return {name: weight == 0 for name, weight in module.named_parameters()}


class Witness(Callback):
    """Looks at weights, moments and gradients around every step."""

    def __init__(self):
        self.cycle, self.dead, self.steps, self.revived, self.moments, self.gradients = 0, {}, 0, 0, 0, 0

    def on_train_start(self, trainer, pl_module):
        trainer.optimizers[0].register_step_post_hook(lambda *_: self.after_step(pl_module))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pruning = next(callback for callback in trainer.callbacks if isinstance(callback, IterativePruning))
        if pruning.cycle is not None and pruning.cycle.index > self.cycle:
            self.cycle, self.dead = pruning.cycle.index, dead_of(pl_module)
            state = trainer.optimizers[0].state
            for name, weight in pl_module.named_parameters():
                for moment in state.get(weight, {}).values():
                    if isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                        self.moments += int(moment[self.dead[name]].count_nonzero())
            self.state = {name: set(state.get(weight, {})) for name, weight in pl_module.named_parameters()}

    def after_step(self, module):
        self.steps += 1
        for name, dead in self.dead.items():
            weight = module.get_parameter(name)
            self.revived += int(weight[dead].count_nonzero())
            gradient = weight.grad.to_dense() if weight.grad.is_sparse else weight.grad
            self.gradients += int(gradient[dead].count_nonzero())


def run(kind, options, beside=LRRewind, treatment="mask", **more):
    witness, module = Witness(), Matrices(kind, **options)
    pruning = IterativePruning(cycles=2, retrain="1ep", optimizer_state=treatment, prunable=Prunable(embeddings=True))
    callbacks = [pruning, beside(), witness, *more.pop("callbacks", [])]
    fit(callbacks, module, Images(shuffle=True), **{"max_epochs": 2, "limit_val_batches": 0, **more})
    return module, witness


def test_the_optimizers_are_all_of_torchs():
    assert {"SGD", "Adam", "AdamW", "LBFGS", "SparseAdam"} <= KINDS.keys()
    assert sum("foreach" in variant.id for variant in VARIANTS) >= 10
    assert sum("fused" in variant.id for variant in VARIANTS) >= 4


@every_variant
def test_dead_weights_stay_zero_and_their_moments_die_with_them(kind, options):
    module, witness = run(kind, options)
    assert witness.steps == 4 * STEPS
    assert witness.revived == witness.moments == 0
    size = sum(weight.numel() for weight in module.parameters())
    assert sum(int(weight.count_nonzero()) for weight in module.parameters()) == round(0.64 * size)
    assert all(weight.isfinite().all() for weight in module.parameters())
    if kind.__name__ in MIXING:
        assert witness.gradients == 0, "the step of a living weight depends on them"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beside", "treatment"), [(LRRewind, "reset"), (LRRewind, "keep"), (lambda: WeightRewind("1ep"), "mask")]
)
@every_kind
def test_dead_weights_stay_zero_with_a_state_that_is_reset_kept_or_rewound(kind, options, beside, treatment):
    module, witness = run(kind, options, beside, treatment)
    assert witness.steps == 4 * STEPS
    assert witness.revived == 0
    assert all(weight.isfinite().all() for weight in module.parameters())


@every_state
def test_a_resumed_run_is_the_same_run(kind, options, tmp_path):
    def saved(folder, ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        run(kind, options, callbacks=[keep], ckpt_path=ckpt_path, enable_checkpointing=True)
        return torch.load(tmp_path / folder / "epoch=3.ckpt", weights_only=True)

    whole = saved("whole")
    again = saved("again", tmp_path / "whole" / "epoch=2.ckpt")
    assert equal(again["state_dict"], whole["state_dict"])
    assert equal(again["optimizer_states"], whole["optimizer_states"])


@every_variant
def test_a_reset_optimizer_is_a_new_one(kind, options):
    def new():
        if kind is optim.Adagrad:
            return kind([weight], **options, initial_accumulator_value=0.5)
        return kind([weight], **options)

    weight = nn.Parameter(torch.ones(2, 3))
    weight.grad = torch.ones(2, 3).to_sparse() if kind is optim.SparseAdam else torch.ones(2, 3)
    optimizer = new()
    optimizer.step(lambda: torch.tensor(1.0))
    reset_(optimizer)
    assert equal(optimizer.state_dict(), new().state_dict())


@every_variant
def test_what_is_called_elementwise_is(kind, options):
    """With other gradients elsewhere a weight steps the same, bit for bit, or the optimizer mixes weights."""

    def stepped(seed):
        weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        optimizer, generator = kind([weight], **options), torch.Generator().manual_seed(seed)
        for _ in range(3):
            gradient = torch.randn(2, 3, generator=generator)
            gradient[0, 0] = 0.5
            weight.grad = gradient.to_sparse() if kind is optim.SparseAdam else gradient
            optimizer.step(lambda: torch.tensor(1.0))
        return float(weight.detach()[0, 0])

    assert is_elementwise(kind([nn.Parameter(torch.ones(2, 3))], **options)) == (stepped(0) == stepped(1))
