"""Every optimizer of torch: dead weights stay zero, their moments die with them, and a resumed run is the same run."""

import inspect

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from optimizer_runs import run
from torch import nn, optim
from toys import STEPS, equal

from lightning_prune import LRRewind, WeightRewind
from lightning_prune.masks.optimizer_state import is_elementwise, reset_

pytestmark = pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`")

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
