"""What one fit, evaluation or failure leaves, and what another sees of it: nothing that is not a checkpoint."""

import copy

import numpy
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint, ModelPruning, OnExceptionCheckpoint
from toys import STEPS, Images, Rates, Toy, equal, fit, make_trainer, one_cycle_lr, toy

from lightning_prune import (
    CycleCallback,
    CycleCheckpoint,
    FineTune,
    IterativePruning,
    Levels,
    LRRewind,
    OneCycleRetrain,
    OneShot,
    WeightRewind,
    random,
)
from lightning_prune.schedules.durations import Duration

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fit.ckpt_path="),  # Lightning, of its own saver
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


def ends_as_fresh(used, make):
    """Whether a fit with a used callback ends as one with a fresh one."""
    other = Toy()
    start = copy.deepcopy(other.state_dict())
    fit([IterativePruning(cycles=1), used], other)
    fresh = Toy()
    fresh.load_state_dict(start)
    fit([IterativePruning(cycles=1), make()], fresh)
    return equal(other.state_dict(), fresh.state_dict())


@pytest.mark.parametrize(
    "make", [lambda: WeightRewind(0), LRRewind, OneCycleRetrain], ids=["weights", "rates", "cycle"]
)
def test_a_used_callback_beside_a_fresh_clock_remembers_nothing(make):
    used = make()
    fit([IterativePruning(cycles=1), used], toy(scheduler=one_cycle_lr), max_epochs=6)
    assert ends_as_fresh(used, make)


def test_loading_for_an_evaluation_leaves_nothing_in_a_later_fit(tmp_path):
    fit([IterativePruning(cycles=1), WeightRewind(0)], toy()).save_checkpoint(tmp_path / "x.ckpt")
    used = WeightRewind(0)
    trainer = make_trainer([IterativePruning(cycles=1), used])
    trainer.validate(Toy(), datamodule=Images(), ckpt_path=tmp_path / "x.ckpt", verbose=False)
    assert ends_as_fresh(used, lambda: WeightRewind(0))


class Raises(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_epoch_start(self, trainer, *_):
        if trainer.current_epoch == self.step:
            raise RuntimeError("stop")


@pytest.mark.parametrize("epoch", [2, 5])
@pytest.mark.parametrize("beside", [list, lambda: [WeightRewind("1ep")]], ids=["fine-tune", "rewind"])
def test_a_checkpoint_saved_on_an_exception_holds_all_that_is_needed(beside, epoch, tmp_path):
    """Saved where an epoch begins, Lightning would leave the epoch out; so only that it resumes and ends is compared."""

    def callbacks():
        return [IterativePruning(cycles=2, retrain=None if beside() else "3ep"), *beside()]

    with pytest.raises(RuntimeError, match="stop"):
        fit(
            [*callbacks(), Raises(epoch), OnExceptionCheckpoint(tmp_path, filename="saved")],
            toy(),
            enable_checkpointing=True,
        )
    saved = torch.load(tmp_path / "saved.ckpt", weights_only=True)
    assert {"IterativePruning", "ExactResume"} < set(saved["callbacks"])
    module = toy()
    trainer = fit(callbacks(), module, ckpt_path=tmp_path / "saved.ckpt")
    assert trainer.current_epoch == 10
    assert sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.64 * 706)


def test_after_a_failed_fit_the_trainer_takes_new_callbacks():
    trainer = make_trainer([IterativePruning(cycles=1, retrain="1ep"), Raises(1)])
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(Toy(), datamodule=Images())
    left = [c for c in trainer.callbacks if not isinstance(c, IterativePruning | Raises)]
    trainer.callbacks = [IterativePruning(cycles=1, retrain="1ep"), LRRewind(), *left]
    trainer.fit(Toy(), datamodule=Images())
    assert sorted(type(c).__name__ for c in trainer.callbacks) == ["ExactResume", "IterativePruning", "LRRewind"]


def test_a_refused_reuse_leaves_the_other_trainer_alone():
    used, module = IterativePruning(cycles=1, retrain="1ep"), toy()
    fit([used], module)
    other = make_trainer([used], max_epochs=9)
    with pytest.raises(ValueError, match="already used in a fit, and this fit goes on from it.*still zero"):
        other.fit(module, datamodule=Images())
    assert other.max_epochs == 9


def test_the_learning_rate_finder_goes_first_and_leaves_nothing():
    rates = Rates()

    class Tuned(Toy):
        def __init__(self):
            super().__init__(scheduler=None, optimizer=lambda p: torch.optim.SGD(p, lr=self.lr))
            self.lr = 0.1

    finder = LearningRateFinder(num_training_steps=10, early_stop_threshold=None)
    pruning = IterativePruning(cycles=1, retrain="1ep")
    trainer = fit([pruning, finder, rates], Tuned(), default_root_dir=".")
    assert trainer.current_epoch == 5
    assert pruning.cycle.first_step == 4 * STEPS
    assert len(rates.steps) == 5 * STEPS


def test_numpys_numbers_are_as_good_as_pythons(tmp_path):
    callbacks = [
        IterativePruning(
            cycles=numpy.int64(2), retrain="1ep", sparsity=Levels(numpy.array([0.5, 0.9], dtype=numpy.float32))
        ),
        OneCycleRetrain(max_lr=numpy.float64(0.05)),
    ]
    fit(callbacks, toy()).save_checkpoint(tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    fit([IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(numpy.float64(0.9))), FineTune()]).save_checkpoint(
        tmp_path / "y.ckpt"
    )
    assert torch.load(tmp_path / "y.ckpt", weights_only=True)["callbacks"]


class Scaled:
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, weight, evidence):
        return weight.detach().abs() * self.scale


def test_criteria_without_a_name_are_told_apart_by_what_they_are(tmp_path):
    def run(criterion, name, ckpt_path=None):
        pruning = IterativePruning(cycles=2, retrain="1ep", criterion=criterion)
        fit([pruning], toy(), ckpt_path=ckpt_path).save_checkpoint(tmp_path / name)

    run(Scaled(2.0), "object.ckpt")
    run(Scaled(2.0), "again.ckpt", tmp_path / "object.ckpt")
    with pytest.raises(ValueError, match="(?s)other settings.*criterion"):
        run(Scaled(3.0), "other.ckpt", tmp_path / "object.ckpt")
    run(lambda weight, evidence: weight.abs(), "lambda.ckpt")
    run(lambda weight, evidence: weight.abs(), "again.ckpt", tmp_path / "lambda.ckpt")
    with pytest.raises(ValueError, match="(?s)other settings.*criterion"):
        run(lambda weight, evidence: -weight.abs(), "other.ckpt", tmp_path / "lambda.ckpt")


def test_the_same_length_written_otherwise_is_the_same(tmp_path):
    fit([IterativePruning(cycles=1, retrain=2)], toy()).save_checkpoint(tmp_path / "x.ckpt")
    fit([IterativePruning(cycles=2, retrain="2ep")], toy(), ckpt_path=tmp_path / "x.ckpt")


def test_the_order_of_a_third_partys_cycle_callback_does_not_matter():
    class Perturbs(CycleCallback):
        def on_cycle_start(self, trainer, pl_module, cycle):
            pl_module.net[0].weight.data.add_(1)

    def run(order):
        module = toy()
        fit(order([IterativePruning(cycles=1), WeightRewind(0), Perturbs()]), module)
        return module.state_dict()

    assert equal(run(list), run(lambda callbacks: callbacks[::-1]))


def test_buffers_that_came_later_are_left_alone_and_named():
    class Caches(Toy):
        def forward(self, x):
            self.register_buffer("cache", x.detach().mean(), persistent=False)
            return super().forward(x)

    with pytest.warns(UserWarning, match=r"WeightRewind\(to=0\) leaves cache as they are"):
        fit([IterativePruning(cycles=1), WeightRewind(0)], Caches())


def test_random_pruning_draws_anew_in_every_cycle_and_with_every_seed():
    def first_dead(seed, cycle):
        from lightning_prune.allocation import layerwise
        from lightning_prune.callbacks.masking.pruner import Pruner

        pruner = Pruner({"a": torch.ones(100)}, random, layerwise, seed)
        pruner.prune_(cycle, 0.5)
        return pruner.masks["a"].tolist()

    assert first_dead(0, 1) == first_dead(0, 1)
    assert first_dead(0, 1) != first_dead(0, 2)
    assert first_dead(0, 1) != first_dead(1, 1)


def test_a_second_fit_by_steps_trains_all_of_them():
    module = toy()
    trainer = fit([IterativePruning(cycles=1, retrain="5it")], module, max_epochs=None, max_steps=10)
    rates = Rates()
    trainer.callbacks = [IterativePruning(cycles=1, retrain="5it"), rates]
    trainer.fit(module, datamodule=Images())
    assert len(rates.steps) == 15
    assert trainer.global_step == 30


def test_what_the_masks_count_is_right_after_a_resumption(tmp_path):
    class Counts(Callback):
        def on_train_epoch_end(self, trainer, *_):
            self.alive = pruning._run.pruner.masks.alive

    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    pruning = IterativePruning(cycles=1, retrain="2ep", sparsity=OneShot(0.5))
    fit([pruning, keep], toy(), enable_checkpointing=True)
    pruning, counts = IterativePruning(cycles=1, retrain="2ep", sparsity=OneShot(0.5)), Counts()
    trainer = fit([pruning, counts], toy(), ckpt_path=tmp_path / "epoch=4.ckpt")
    assert counts.alive == 353
    assert trainer.callback_metrics["pruning/density"] == 0.5


def test_the_rates_that_an_epoch_used_are_logged():
    seen = []

    class Looks(Callback):
        def on_train_epoch_start(self, trainer, *_):
            metrics = trainer.callback_metrics
            if "pruning/lr_min" in metrics:
                seen.append((float(metrics["pruning/lr_min"]), float(metrics["pruning/lr_max"])))

    fit([Looks(), IterativePruning(cycles=2, retrain="1ep"), FineTune(lr=0.05)])
    assert seen == [
        pytest.approx(pair) for pair in [(0.1, 0.1), (0.1, 0.1), (0.01, 0.01), (0.001, 0.001), (0.05, 0.05)]
    ]


@pytest.mark.parametrize("where", ["optimizer_step", "on_train_batch_start", "callback"])
def test_rates_that_the_users_code_sets_are_recorded_and_replayed(where):
    def rate(trainer):
        return 0.05 * (1 + numpy.cos(numpy.pi * min(trainer.global_step, 24) / 24))

    class Sets(Toy):
        def on_train_batch_start(self, batch, index):
            if where == "on_train_batch_start":
                self.optimizers().param_groups[0]["lr"] = rate(self.trainer)

        def optimizer_step(self, epoch, index, optimizer, closure):
            if where == "optimizer_step":
                optimizer.param_groups[0]["lr"] = rate(self.trainer)
            optimizer.step(closure)

    class AlsoSets(Callback):
        def on_train_batch_start(self, trainer, pl_module, *_):
            if where == "callback":
                trainer.optimizers[0].param_groups[0]["lr"] = rate(trainer)

    rates = Rates()
    fit([AlsoSets(), IterativePruning(cycles=1, retrain="2ep"), LRRewind(), rates], Sets(scheduler=None))
    assert rates.lr()[4 * STEPS :] == rates.lr()[2 * STEPS : 4 * STEPS]
    assert rates.lr()[2 * STEPS] == pytest.approx(0.05)


def test_a_fast_dev_run_is_fast_and_goes_through_everything():
    for beside in ([], [WeightRewind("2ep")], [LRRewind("10it")], [LRRewind()]):
        rates = Rates()
        module = toy()
        fit(
            [IterativePruning(cycles=2, retrain=None if beside and beside[0].rewind_point else "15ep"), *beside, rates],
            module,
            fast_dev_run=True,
            default_root_dir=".",
        )
        assert len(rates.steps) == 3
        assert sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7)) == round(0.64 * 706)


@pytest.mark.parametrize("more", [1, 2])
def test_a_second_fit_of_a_trainer_counts_epochs_as_lightning_does(more):
    """Its limit counts from the first fit on, so the dense run has what is left of it."""
    module = toy()
    trainer = fit([IterativePruning(cycles=1, retrain="1ep")], module, max_epochs=2)
    assert trainer.current_epoch == 3
    trainer.callbacks = [pruning := IterativePruning(cycles=1, retrain="1ep"), FineTune()]
    trainer.fit_loop.max_epochs = 3 + more
    trainer.fit(module, datamodule=Images())
    assert pruning.dense_length == Duration(more, "ep")
    assert trainer.current_epoch == 3 + more + 1
    assert trainer.max_epochs == 3 + more, "put back"


def test_a_second_fit_is_resumed_with_the_dense_run_it_had(tmp_path):
    def second(ckpt_path=None):
        module = toy()
        trainer = fit([IterativePruning(cycles=1, retrain="1ep")], module, max_epochs=1)
        keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        trainer.callbacks = [IterativePruning(cycles=1, retrain="1ep"), FineTune(), keep]
        trainer.fit_loop.max_epochs = 4
        trainer.fit(module, datamodule=Images(), ckpt_path=ckpt_path)
        return trainer

    whole = second()
    again = fit([IterativePruning(1, "1ep"), FineTune()], toy(), max_epochs=4, ckpt_path=tmp_path / "epoch=2.ckpt")
    assert whole.current_epoch == again.current_epoch == 5
    assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


def test_a_fit_that_begins_anew_takes_the_callbacks_of_another(tmp_path):
    """As in cross-validation: the same objects, a Trainer and weights of their own for every fold."""
    used = [IterativePruning(cycles=2, retrain="1ep"), WeightRewind("1ep"), CycleCheckpoint(dirpath=str(tmp_path))]
    fit(used, toy(), max_epochs=2)
    again = fit(used, toy(), max_epochs=2)
    fresh = fit([IterativePruning(cycles=2, retrain="1ep"), WeightRewind("1ep")], toy(), max_epochs=2)
    assert equal(again.lightning_module.state_dict(), fresh.lightning_module.state_dict())
    assert used[0].masks.keys() == {f"net.{i}.weight" for i in (0, 4, 7)}
    assert "cycle=00-density=1.000-last.ckpt" in {path.name for path in tmp_path.iterdir()}


@pytest.mark.filterwarnings("ignore:.*this fit will run with no optimizer")
@pytest.mark.parametrize("given", [None, []], ids=["None", "empty"])
def test_a_module_without_an_optimizer_is_refused(given):
    class Idle(Toy):
        def configure_optimizers(self):
            return given

    with pytest.raises(ValueError, match="Idle.configure_optimizers returned no optimizer.*Return the optimizer"):
        fit([IterativePruning(cycles=1, retrain="1ep")], Idle())


def test_lightning_s_own_pruning_beside_ours_is_refused():
    with pytest.raises(ValueError, match="ModelPruning and IterativePruning would both prune.*Keep one"):
        fit([ModelPruning("l1_unstructured", amount=0.5), IterativePruning(cycles=1, retrain="1ep")], Toy())
