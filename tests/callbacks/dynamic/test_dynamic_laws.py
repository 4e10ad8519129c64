"""What holds for every member of the family: exact counts, zeros, fresh moments, and the sparsity at the end."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateFinder
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from moving_masks import MEMBERS, SIZE, Witness, momenta, moving, run, weights_of
from toys import Images, Toy, equal, toy

import lightning_prune
from lightning_prune import ACDC, SAM, SET, DynamicSparsity, RigL
from lightning_prune.cli import main

QUICK = ("rigl", "set", "acdc by steps")
every_member = pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, make in MEMBERS.items()],
)
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "sam": lambda p: SAM(p, lambda q: torch.optim.SGD(q, lr=0.1, momentum=0.9), rho=0.05),
}


def sparse_moments(callback, count):
    """Whether a batch, from 0, is trained with masks."""
    return (
        range(count)
        if not isinstance(callback, ACDC)
        else [step for step in range(count) if callback.phase_at(step // 6, step) % 2]
    )


def test_every_public_member_is_under_the_laws():
    public = [member for member in vars(lightning_prune).values() if isinstance(member, type)]
    family = {one for one in public if issubclass(one, DynamicSparsity)} - {DynamicSparsity}
    assert family == {type(make()) for make in MEMBERS.values()} == {RigL, SET, ACDC}


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        pytest.param(
            make, optimizer, id=f"{name}-{how}", marks=() if name in QUICK or how == "sgd" else pytest.mark.slow
        )
        for name, make in MEMBERS.items()
        for how, optimizer in OPTIMIZERS.items()
    ],
)
def test_counts_are_exact_after_every_step_and_what_comes_back_is_new(make, optimizer):
    witness = Witness()
    trainer, callback = run(make, witness, module=toy(optimizer=optimizer))
    assert len(witness.counts) == 24 == callback.step == trainer.global_step
    sparse = sparse_moments(callback, 24)
    for step, counts in enumerate(witness.counts):
        assert sum(counts.values()) == (round(0.4 * SIZE) if step in sparse else SIZE), step
    if not isinstance(callback, ACDC):
        assert all(counts == witness.counts[0] for counts in witness.counts), "each tensor keeps its count"
    assert witness.came_back > 20
    assert witness.died > 20
    assert callback.measured_sparsity == pytest.approx(0.6, abs=1 / SIZE)
    alive = sum(int(weight.count_nonzero()) for weight in weights_of(trainer.lightning_module).values())
    assert SIZE * 0.3 < alive <= round(0.4 * SIZE), "behind a dead unit some stay zero"


@every_member
def test_accumulated_and_clipped_gradients(make):
    class Norms(Callback):
        """The norm that the clipping sees is of the living weights, but in an update, when there is none."""

        def __init__(self):
            self.dead = []

        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            masks = moving(trainer).masks
            grads = {name: pl_module.get_parameter(name).grad for name in masks}
            self.dead += [float(grad[~masks[name]].abs().sum()) for name, grad in grads.items() if grad is not None]

    witness, norms = Witness(), Norms()
    trainer, callback = run(make, witness, norms, accumulate_grad_batches=2, gradient_clip_val=0.5, max_epochs=8)
    assert callback.step == trainer.global_step == 24
    assert norms.dead
    assert not any(norms.dead)
    assert witness.came_back > 20


@every_member
def test_clipping_by_a_value_that_is_never_reached_changes_nothing(make):
    (one, callback), (other, same) = run(make, gradient_clip_val=1e9, gradient_clip_algorithm="value"), run(make)
    assert equal(callback.masks, same.masks)
    assert equal(one.lightning_module.state_dict(), other.lightning_module.state_dict())
    assert one.gradient_clip_val == 1e9


@pytest.mark.parametrize("fused", [False, True], ids=["", "fused"])
@every_member
def test_under_a_gradient_scaler_an_overflow_moves_no_mask(make, fused):
    class Overflowing(Toy):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            return loss * float("inf") if self.trainer.global_step in (4, 5, 13) else loss

    torch.manual_seed(0)
    module = Overflowing(optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, fused=fused))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=4)
    witness = Witness()
    trainer, callback = run(make, witness, module=module, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])
    assert callback.step == trainer.global_step - 3
    assert witness.came_back > 10
    assert all(weight.isfinite().all() for weight in weights_of(trainer.lightning_module).values())
    assert callback.measured_sparsity == pytest.approx(0.6, abs=1 / SIZE)


@every_member
def test_an_average_of_weights_is_as_sparse_as_the_network(make):
    trainer, callback = run(make, EMAWeightAveraging(decay=0.9))
    for name, mask in callback.masks.items():
        assert not trainer.lightning_module.get_parameter(name)[~mask].any(), "the average stands in the module now"


def test_a_learning_rate_that_is_found_first_leaves_nothing():
    witness = Witness()

    class WithRate(Toy):
        def __init__(self):
            super().__init__()
            self.lr = 0.1

    module = WithRate()
    trainer, callback = run(MEMBERS["rigl"], LearningRateFinder(num_training_steps=5), witness, module=module)
    assert callback.step == trainer.global_step == len(witness.counts) == 24
    assert callback.measured_sparsity == pytest.approx(0.6, abs=1 / SIZE)


def test_momenta_are_there_to_be_looked_at():
    class Counts(Callback):
        def on_train_end(self, trainer, pl_module):
            self.count = len(list(momenta(trainer)))

    counts = Counts()
    run(MEMBERS["rigl"], counts)
    assert counts.count == 3


def test_a_release_forgets_the_momentum_of_all_weights_or_of_the_released_ones():
    class Sees(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if trainer.global_step == 9:
                self.states = [len(optimizer.state) for optimizer in trainer.optimizers]

    found = {}
    for state in ("reset", "mask"):
        sees = Sees()
        run(lambda state=state: ACDC(0.6, ["4it", "14it"], ["9it"], optimizer_state=state), sees)
        found[state] = sees.states
    assert found["reset"] == [0]
    assert found["mask"][0] > 3


@pytest.mark.parametrize("make", [MEMBERS["rigl"], MEMBERS["set"], MEMBERS["acdc"]], ids=["rigl", "set", "acdc"])
def test_the_sparsity_and_what_came_back_are_logged(make):
    class Reads(Callback):
        def __init__(self):
            self.logged = []

        def on_train_epoch_end(self, trainer, pl_module):
            self.logged.append({name: float(one) for name, one in trainer.callback_metrics.items()})

    reads = Reads()
    _, callback = run(make, reads, data=Images())
    assert reads.logged[-1]["pruning/sparsity"] == pytest.approx(0.6, abs=1e-3)
    assert reads.logged[-1]["pruning/cycle"] == callback.phase
    assert reads.logged[-1]["pruning/density"] == pytest.approx(0.4, abs=1e-3)
    assert sum(one["pruning/regrown"] for one in reads.logged) > 20


@pytest.mark.slow
def test_the_report_has_each_phase_with_its_density(tmp_path, capsys):
    logger = CSVLogger(tmp_path, name="run", version=0)
    run(MEMBERS["acdc"], logger=logger, log_every_n_steps=1)
    main(["report", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.split()[:1] in (["dense"], ["1"], ["2"], ["3"])]
    assert [row[2] for row in rows] == ["100.0", "39.9", "100.0", "39.9"], "282 of 706 weights"
