"""Interrupted and resumed equals uninterrupted, tensor for tensor: at every epoch end, for every policy."""

import random as random_of_python

import numpy
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from policies_in_runs import POLICIES
from resumed_runs import OPTIMIZERS, SCHEDULERS, compare, run
from toys import STEPS, Images, Rates, equal, fit, plateau, step_decay, toy

from lightning_prune import (
    ExactResume,
    Geometric,
    IterativePruning,
    LRRewind,
    OneCycleRetrain,
    OneShot,
    Prunable,
    WeightRewind,
    layerwise,
    random,
)


@pytest.mark.parametrize(
    ("scheduler", "optimizer"),
    [
        ("steps", "sgd"),
        ("one cycle", "adamw"),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in [("plateau", "sgd"), ("none", "adamw")]),
    ],
)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_stopped_at_any_epoch_end_it_ends_the_same(policy, scheduler, optimizer, tmp_path):
    arguments = (policy, SCHEDULERS[scheduler], OPTIMIZERS[optimizer])
    whole, rates = run(tmp_path / "whole", *arguments)
    last = whole.current_epoch - 1
    for epoch in range(last):
        folder = tmp_path / f"from {epoch}"
        resumed, again = run(folder, *arguments, ckpt_path=tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert resumed.current_epoch == whole.current_epoch
        assert resumed.global_step == whole.global_step
        assert again.steps == rates.steps[len(rates.steps) - len(again.steps) :]
        assert compare(tmp_path / "whole", folder, range(epoch + 1, last + 1)) == last - epoch
    finished, none = run(tmp_path / "done", *arguments, ckpt_path=tmp_path / "whole" / f"epoch={last}.ckpt")
    assert not none.steps, "a finished run has nothing left to do"
    assert equal(finished.lightning_module.state_dict(), whole.lightning_module.state_dict())


@pytest.mark.parametrize("options", [{"max_epochs": None, "max_steps": 20}, {"accumulate_grad_batches": 4}])
@pytest.mark.parametrize("policy", [POLICIES["rewind the rate"], POLICIES["rewind both apart"]])
def test_runs_that_go_by_steps_resume_at_epoch_ends(policy, options, tmp_path):
    arguments = (policy, step_decay, OPTIMIZERS["sgd"])
    whole, rates = run(tmp_path / "whole", *arguments, retrain="9it" if "max_steps" in options else "3it", **options)
    saved = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(saved) >= 4
    for file in saved[:-1]:
        folder = tmp_path / f"from {file.stem}"
        resumed, again = run(
            folder, *arguments, retrain="9it" if "max_steps" in options else "3it", ckpt_path=file, **options
        )
        assert again.steps == rates.steps[len(rates.steps) - len(again.steps) :]
        assert equal(resumed.lightning_module.state_dict(), whole.lightning_module.state_dict()), file
        assert resumed.global_step == whole.global_step


def saved_in_cycle_one(tmp_path):
    run(tmp_path, POLICIES["fine-tune"], None, OPTIMIZERS["sgd"])
    return tmp_path / "epoch=4.ckpt"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"criterion": random}, "criterion: the checkpoint has 'lightning_prune.criteria.magnitude', this run 'lightning_prune.criteria.random'"),
        ({"allocation": layerwise}, "allocation"),
        ({"sparsity": OneShot(0.5)}, r"sparsity: the checkpoint has Geometric\(fraction=0.2, initial=0.0\), this run OneShot\(final=0.5\)"),
        ({"sparsity": Geometric(0.3)}, "sparsity"),
        ({"retrain": "1ep"}, "retrain: the checkpoint has '2ep', this run '1ep'"),
        ({"prunable": Prunable(last_layer=False)}, "prunable"),
        ({"seed": 1}, "seed"),
        ({"optimizer_state": "keep"}, "optimizer_state"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*removes nothing in cycle")
def test_other_settings_than_the_checkpoints_are_refused_with_the_difference(changes, named, tmp_path):
    file = saved_in_cycle_one(tmp_path)
    arguments = {"cycles": 2, "retrain": "2ep", **changes}
    with pytest.raises(ValueError, match=f"(?s)made with other settings.*{named}"):
        fit([IterativePruning(**arguments)], toy(scheduler=None, groups=(1.0, 0.5)), ckpt_path=file)


@pytest.mark.parametrize("beside", [[LRRewind()], [OneCycleRetrain()], [WeightRewind(0), OneCycleRetrain()]])
def test_another_policy_than_the_checkpoints_is_refused(beside, tmp_path):
    file = saved_in_cycle_one(tmp_path)
    with pytest.raises(ValueError, match=r"learning_rate: the checkpoint has 'FineTune\(lr=None\)', this run"):
        fit(
            [IterativePruning(cycles=2, retrain="2ep"), *beside], toy(scheduler=None, groups=(1.0, 0.5)), ckpt_path=file
        )


def test_another_dense_length_than_the_checkpoints_is_refused(tmp_path):
    file = saved_in_cycle_one(tmp_path)
    with pytest.raises(ValueError, match="dense: the checkpoint has '4ep', this run '5ep'"):
        fit(
            [IterativePruning(cycles=2, retrain="2ep")],
            toy(scheduler=None, groups=(1.0, 0.5)),
            ckpt_path=file,
            max_epochs=5,
        )


def test_more_cycles_than_before_go_on(tmp_path):
    run(tmp_path, POLICIES["fine-tune"], None, OPTIMIZERS["sgd"])
    rates = Rates()
    module = toy(scheduler=None, groups=(1.0, 0.5))
    fit([IterativePruning(cycles=4, retrain="2ep"), rates], module, ckpt_path=tmp_path / "epoch=7.ckpt")
    assert len(rates.steps) == 4 * STEPS
    alive = sum(int(module.net[i].weight.count_nonzero()) for i in (0, 4, 7))
    assert alive == round(0.8**4 * 706)


def test_a_checkpoint_without_masks_is_refused(tmp_path):
    fit([ModelCheckpoint(tmp_path, filename="dense")], toy(), enable_checkpointing=True)
    with pytest.raises(ValueError, match="it holds no masks, because it was made without IterativePruning"):
        fit([IterativePruning(cycles=1, retrain="2ep")], toy(), ckpt_path=tmp_path / "dense.ckpt")


def test_another_model_than_the_checkpoints_is_refused_with_the_tensors_that_differ(tmp_path):
    file = saved_in_cycle_one(tmp_path)
    with pytest.raises(RuntimeError, match="(?s)Missing key.*net.1.weight|size mismatch for net"):
        fit([IterativePruning(cycles=2, retrain="2ep")], toy(plain=True), ckpt_path=file)


def test_without_the_callbacks_of_the_run_it_does_not_go_on(tmp_path):
    file = saved_in_cycle_one(tmp_path)
    with pytest.raises(ValueError, match="is of a run with IterativePruning, which is missing among the callbacks"):
        fit([ExactResume()], toy(scheduler=None, groups=(1.0, 0.5)), ckpt_path=file)


def test_a_plain_run_with_exact_resume_alone_ends_as_the_uninterrupted_one(tmp_path):
    def dense(folder, ckpt_path=None):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        module = toy(scheduler=plateau)
        fit([ExactResume(), keep], module, Images(shuffle=True), ckpt_path)
        return module.state_dict()

    whole = dense(tmp_path / "whole")
    for epoch in range(3):
        assert equal(dense(tmp_path / f"from {epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt"), whole)


def test_the_random_state_of_torch_numpy_and_python_goes_on(tmp_path):
    class Draws(Callback):
        """Draws from everything that a run may draw from."""

        def __init__(self):
            self.drawn = []

        def on_train_batch_start(self, trainer, *_):
            self.drawn.append((random_of_python.random(), float(numpy.random.rand()), float(torch.rand(1))))  # noqa: NPY002

    def draws(ckpt_path=None):
        draws = Draws()
        keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        fit(
            [IterativePruning(cycles=1, retrain="2ep"), draws, keep],
            toy(),
            Images(shuffle=True),
            ckpt_path,
            enable_checkpointing=True,
        )
        return draws.drawn

    whole = draws()
    assert draws(tmp_path / "epoch=4.ckpt") == whole[5 * STEPS :]
