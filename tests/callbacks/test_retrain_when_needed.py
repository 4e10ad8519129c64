"""Cycles that are left out where the prune has cost little: decided on validation, exact when resumed, with nothing lost."""

import json

import pytest
import torch
from left_out import Chosen
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from processes import in_processes
from resumed_runs import compare
from toys import STEPS, Images, equal, fit, toy

from lightning_prune import (
    CycleCheckpoint,
    IterativePruning,
    Linear,
    Reconstruct,
    RetrainWhenNeeded,
    ScaledRestart,
    WeightRewind,
)
from lightning_prune.callbacks.gathering.validation_pass import validated

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]


class Seen(Callback):
    """The cycles of all batches, the network at the start of each cycle, and the losses of the validations."""

    def __init__(self):
        self.cycles, self.begun, self.losses = [], [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        clock = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        self.cycles.append(0 if clock.cycle is None else clock.cycle.index)

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.begun.append({name: one.detach().clone() for name, one in pl_module.state_dict().items()})

    def on_validation_end(self, trainer, pl_module):
        self.losses.append(float(trainer.callback_metrics["val_loss"]))


def run(callback, *others, cycles=3, retrain=1, folder=None, ckpt_path=None, **options):
    seen, module = Seen(), toy()
    pruning = IterativePruning(cycles=cycles, retrain=retrain, sparsity=Linear(0.6, cycles))
    logger = CSVLogger(folder, name="", version="log") if folder else False
    callbacks = [pruning, callback, *others, seen]
    trainer = fit(
        callbacks, module, Images(shuffle=True), ckpt_path, max_epochs=2, logger=logger, log_every_n_steps=50, **options
    )
    return trainer, seen, pruning


@pytest.mark.parametrize("left_out", [(), (1,), (2,), (3,), (1, 2), (2, 3), (1, 3), (1, 2, 3)], ids=str)
def test_cycles_that_are_left_out_are_pruned_and_not_trained(left_out, tmp_path):
    trainer, seen, pruning = run(Chosen(left_out), folder=tmp_path)
    trained = [cycle for cycle in (1, 2, 3) if cycle not in left_out]
    assert seen.cycles == [0] * 2 * STEPS + [cycle for cycle in trained for _ in range(STEPS)]
    assert trainer.current_epoch == 2 + len(trained)
    assert len(seen.begun) == 3, "every cycle has its prune"
    assert pruning.measured_sparsity == pytest.approx(0.6, abs=0.01)
    record = json.loads((tmp_path / "log" / "pruning.json").read_text())
    assert record["finished"]
    assert [one["steps"] for one in record["cycles"]] == [STEPS if cycle in trained else 0 for cycle in (1, 2, 3)]
    assert [one["retrained"] for one in record["retraining"]["decisions"]] == [c in trained for c in (1, 2, 3)]
    assert record["retraining"]["steps_saved"] == len(left_out) * STEPS
    assert len(seen.losses) == trainer.current_epoch + (3 in left_out), "the last network is validated"


def test_without_a_cycle_left_out_the_fit_is_that_without_the_callback():
    (one, kept, _), (other, plain, _) = run(Chosen()), run(Seen())
    assert equal(one.lightning_module.state_dict(), other.lightning_module.state_dict())
    assert kept.losses == plain.losses


def test_two_prunes_without_training_between_them_give_the_network_of_one_prune():
    (_, seen, _), (_, once, _) = run(Chosen((1, 2))), run(Seen(), cycles=1)
    assert equal(seen.begun[2], once.begun[0]), "by magnitude, the weights being the same"


@pytest.mark.parametrize("reference", ["original", "previous"])
def test_what_is_lost_is_compared_with_the_reference_on_the_validation_data(reference):
    callback = RetrainWhenNeeded(0.1, monitor="val_loss", mode="min", reference=reference)
    module = toy()
    states = []

    class Both(Callback):
        def on_prune_start(self, trainer, pl_module):
            states.append(loss(pl_module))

        def on_cycle_start(self, trainer, pl_module, cycle):
            states.append(loss(pl_module))

    pruning = IterativePruning(cycles=4, retrain=1, sparsity=Linear(0.95, 4))
    fit([pruning, callback, Both()], module, max_epochs=2)
    decisions = callback._decisions
    assert reference == "previous" or {one["retrained"] for one in decisions} == {True, False}
    for place, one in enumerate(decisions):
        before = states[0] if reference == "original" else states[2 * place]
        assert one["lost"] == pytest.approx(states[2 * place + 1] - before, abs=1e-5)
        assert one["retrained"] == (one["lost"] >= 0.1)


def loss(module):
    was, batches = module.training, Images().set.tensors
    module.eval()
    with torch.no_grad():
        found = torch.nn.functional.cross_entropy(module(batches[0]), batches[1])
    module.train(was)
    return found.item()


@pytest.mark.parametrize("left_out", [(1,), pytest.param((2, 3), marks=pytest.mark.slow)], ids=str)
def test_a_fit_goes_on_from_every_epoch_as_if_it_had_not_been_interrupted(left_out, tmp_path):
    def train(folder, ckpt_path=None):
        keep = ModelCheckpoint(
            folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
        )
        return run(Chosen(left_out), ScaledRestart(), keep, ckpt_path=ckpt_path, enable_checkpointing=True)

    whole = train(tmp_path / "whole")[0]
    last = whole.current_epoch
    for epoch in range(last - 1):
        resumed = train(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")[0]
        compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, last))
        assert equal(whole.lightning_module.state_dict(), resumed.lightning_module.state_dict())
        assert resumed.current_epoch == last


def test_a_checkpoint_of_every_cycle_is_there_and_the_last_one_holds_the_last_network(tmp_path):
    keep = CycleCheckpoint(dirpath=tmp_path)
    trainer, _, _ = run(Chosen((3,)), keep, enable_checkpointing=True)
    files = sorted(path.name[:8] for path in tmp_path.glob("*-last.ckpt"))
    assert files == ["cycle=00", "cycle=01", "cycle=02", "cycle=03"]
    (last,) = tmp_path.glob("cycle=03-*-last.ckpt")
    saved = torch.load(last, weights_only=True)["state_dict"]
    assert equal(saved, dict(trainer.lightning_module.state_dict()))
    resumed = run(Chosen((3,)), CycleCheckpoint(dirpath=tmp_path), ckpt_path=last, enable_checkpointing=True)[0]
    assert resumed.current_epoch == 4, "there is nothing left to do"


def test_a_repair_goes_beside_it():
    _, seen, _ = run(Chosen((1, 2, 3)), Reconstruct(batches=1))
    assert not equal(seen.begun[0], run(Chosen((1, 2, 3)))[1].begun[0])


def on_two(folder):
    callback = RetrainWhenNeeded(0.001, monitor="val_loss", mode="min")
    module = toy(plain=True)
    pruning = IterativePruning(cycles=3, retrain=1, sparsity=Linear(0.9, 3))
    fit([pruning, callback], module, Images(batch=4), max_epochs=1, devices=2, strategy="ddp")
    torch.save([module.state_dict(), callback._decisions], folder / f"{torch.distributed.get_rank()}.pt")


def test_two_processes_decide_the_same(tmp_path):
    in_processes(2, on_two, tmp_path)
    assert equal(*(torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)))


def test_a_validation_without_a_trace_measures_what_lightning_measures():
    class Compare(Callback):
        def on_validation_end(self, trainer, pl_module):
            self.expected = float(trainer.callback_metrics["val_loss"])

        def on_train_epoch_end(self, trainer, pl_module):
            before = torch.get_rng_state()
            assert validated(trainer, "val_loss", "a test") == pytest.approx(self.expected, rel=1e-6)
            assert torch.equal(torch.get_rng_state(), before)
            assert pl_module.training

    fit([Compare()], max_epochs=1)


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        ([RetrainWhenNeeded(monitor="accuracy")], r"monitor='accuracy'\): the validation of Toy does not log it. It logs val_loss"),
        ([RetrainWhenNeeded(monitor="val_loss"), WeightRewind(0)], "RetrainWhenNeeded and WeightRewind do not fit together"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_the_training(callbacks, said):
    with pytest.raises(ValueError, match=said):
        run(*callbacks, retrain=None if len(callbacks) > 1 else 1)


def test_cycles_in_steps_are_refused():
    with pytest.raises(ValueError, match="these cycles go by steps or lie inside the dense run"):
        run(RetrainWhenNeeded(monitor="val_loss"), retrain="4it")
    with pytest.raises(ValueError, match="and this fit has no validation data"):
        run(RetrainWhenNeeded(monitor="val_loss"), limit_val_batches=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"threshold": -1}, "threshold=-1"), ({"mode": "up"}, "'max' or 'min'"), ({"reference": "best"}, "'original' or")],
)
def test_an_argument_out_of_range_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        RetrainWhenNeeded(**arguments)
