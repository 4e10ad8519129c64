"""A resumed run has the settings that it was begun with: of every callback of ours, and of functions without a name."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toys import fit, toy

from lightning_prune import (
    EstimateBatchNorm,
    IterativePruning,
    TorchScheduler,
    TrainOnly,
)
from lightning_prune.callbacks.base import CycleCallback
from lightning_prune.callbacks.settings.described import describe, describe_object
from lightning_prune.callbacks.settings.refused_differences import refuse_differences


class Mine(CycleCallback):
    """One of the user's own, with a counter that is saved."""

    def __init__(self, factor=1.0, seen=0):
        self.factor, self.seen = factor, seen

    def on_cycle_start(self, *_):
        self.seen += 1

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The checkpoint of a run with three callbacks beside its clock."""
    folder = tmp_path_factory.mktemp("saved")
    train([TrainOnly(["bias"]), EstimateBatchNorm(batches=1), Mine()], folder)
    return folder / "last.ckpt"


def train(beside, folder, ckpt_path=None, **pruning):
    keep = ModelCheckpoint(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    clock = IterativePruning(cycles=2, retrain="1ep", **pruning)
    return fit([clock, *beside, keep], toy(scheduler=None), ckpt_path=ckpt_path, max_epochs=1)


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        ([TrainOnly(["head"]), EstimateBatchNorm(batches=1), Mine()], r"TrainOnly\(parts=\['head'\]\)"),
        ([TrainOnly(["bias"]), Mine()], "EstimateBatchNorm"),
        ([TrainOnly(["bias"]), EstimateBatchNorm(batches=2), Mine()], "batches=2"),
        ([TrainOnly(["bias"]), EstimateBatchNorm(batches=1), Mine(factor=2.0)], "factor=2.0"),
        ([], r"this run \[\]"),
    ],
)
def test_other_callbacks_of_the_cycles_than_the_checkpoints_are_refused(beside, named, saved, tmp_path):
    with pytest.raises(ValueError, match=f"(?s)made with other settings.*beside: the checkpoint has.*{named}"):
        train(beside, tmp_path, saved)


def test_the_same_callbacks_go_on_though_one_keeps_its_state_in_an_argument(saved, tmp_path):
    mine = Mine()
    train([TrainOnly(["bias"]), EstimateBatchNorm(batches=1), mine], tmp_path, saved)
    assert mine.seen == 2


def scaled(factor):
    return lambda weight, evidence: weight.abs() * factor


def named(factor):
    def score(weight, evidence, *, power=1.0):
        return (weight.abs() * factor) ** power

    return score


def test_functions_without_a_name_are_told_apart_by_all_that_they_do():
    first = [
        lambda w, e: w.abs(), lambda w, e: w.neg(), lambda w, e: w.abs() + 1, lambda w, e, a=1: w.abs(),
        lambda w, e, *, a=2: w.abs(), lambda w, e: sum(x for x in w), lambda w, e: sum(-x for x in w),
        scaled(1.0), scaled(2.0), named(1.0), named(2.0), partial(scaled(1.0), 1), partial(scaled(2.0), 1),
        lambda o: torch.optim.lr_scheduler.LinearLR(o), lambda o: torch.optim.lr_scheduler.ConstantLR(o),
    ]  # fmt: skip
    written = [str(describe(one)) for one in first]
    assert len(set(written)) == len(written)
    assert not any(" at 0x" in one for one in written), "another process could not resume"
    assert describe(scaled(1.0)) == describe(scaled(1.0))
    assert describe_object(TorchScheduler(first[-1])) != describe_object(TorchScheduler(first[-2]))


def test_a_function_that_calls_itself_and_an_object_that_holds_itself_can_be_written():
    def again(n):
        return again(n - 1) if n else 0

    class Holds:
        def __init__(self):
            self.me, self.function = self, again

    assert describe(again) == describe(again)
    assert " at 0x" not in describe(Holds())


def test_a_changed_closure_is_refused(tmp_path):
    train([], tmp_path, criterion=scaled(1.0))
    with pytest.raises(ValueError, match="(?s)made with other settings.*criterion"):
        train([], tmp_path / "again", tmp_path / "last.ckpt", criterion=scaled(-1.0))
    train([], tmp_path / "same", tmp_path / "last.ckpt", criterion=scaled(1.0))


def test_records_of_earlier_versions_go_on():
    given = {
        "cycles": 2,
        "sparsities": [0.2],
        "sparsity": "s",
        "criterion": "m.<lambda>#0123456789abcdef",
        "beside": [],
    }
    earlier = {"cycles": 2, "sparsities": [0.2], "sparsity": "s", "criterion": "m.<lambda>#01234567"}
    refuse_differences(earlier, given, begun=1)
    with pytest.raises(ValueError, match="criterion"):
        refuse_differences({**earlier, "criterion": "m.f.<locals>.<lambda>#01234567"}, given, begun=1)
    with pytest.raises(ValueError, match="criterion"):
        refuse_differences({**given, "criterion": "m.<lambda>#fedcba9876543210"}, given, begun=1)
