"""The promise of an ablation: what an arm comes to is, bit for bit, what it comes to alone in one fit."""

import inspect

import pytest
from exact_arms import assert_exact

import lightning_prune
from lightning_prune.callbacks.policies.base import LearningRatePolicy
from lightning_prune.callbacks.starting_points.base import StartingPoint

PUBLIC = [one for name, one in vars(lightning_prune).items() if not name.startswith("_")]
MEMBERS = [one for one in PUBLIC if inspect.isclass(one) and issubclass(one, LearningRatePolicy | StartingPoint)]
CONCRETE = [one for one in MEMBERS if not inspect.isabstract(one)]
ARGUMENTS = {
    "WeightRewind": {"to": "1ep"},
    "LRRewind": {"to": "1ep"},
    "NormRewind": {"to": "1ep"},
    "SILOSchedule": {"low": 0.03, "rise": 0.04},
    "SCyclical": {"low": 0.03, "rise": 0.04},
    "TorchScheduler": {
        "scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1, "gamma": 0.5}}
    },
    "WarmupSteps": {"max_lr": 0.05},
    "DenseScheduleRestart": {},
    "ScratchTrain": {"budget": "equal-epochs"},
}


WHOLE = ("Reinitialize", "ScratchTrain", "SignedReinitialize")  # their cycles repeat the whole dense run
CRITERIA = ("movement", "magnitude_increase", "last_epoch_change", "snip", "taylor", "random")


def arms_of(members):
    return {
        one.__name__: {
            "callbacks": {"class_path": one.__name__, "init_args": ARGUMENTS.get(one.__name__, {})},
            **({"retrain": None} if one.__name__ in WHOLE else {}),
        }
        for one in members
    }


@pytest.mark.filterwarnings("ignore:.*come to the same config")  # the base is the default of a policy
@pytest.mark.parametrize("part", [0, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2))])
def test_every_policy_and_starting_point_goes_on_from_a_shared_dense_run_as_alone(tmp_path, part):
    frame = assert_exact(tmp_path, arms_of(CONCRETE[part::3]))
    dense = frame[frame["cycle"] == 0]
    assert dense["node"].nunique() == 1
    assert dense["epochs_shared"].tolist() == [0, *[3] * (len(dense) - 1)]


def test_every_criterion_that_looks_back_or_at_data_decides_as_alone(tmp_path):
    frame = assert_exact(tmp_path, {name: {"criterion": f"lightning_prune.criteria.{name}"} for name in CRITERIA})
    assert frame[frame["cycle"] == 0]["node"].nunique() == 1


def test_arms_that_agree_up_to_a_cycle_share_it(tmp_path):
    levels = {"class_path": "lightning_prune.schedules.Levels"}
    frame = assert_exact(
        tmp_path,
        {
            "two": {"sparsity": {**levels, "init_args": {"levels": [0.3, 0.5]}}},
            "other end": {"sparsity": {**levels, "init_args": {"levels": [0.3, 0.7]}}},
            "longer": {"cycles": 3, "sparsity": {**levels, "init_args": {"levels": [0.3, 0.5, 0.6]}}},
        },
    )
    nodes = frame[frame["arm"] != "first"].groupby("cycle")["node"].nunique()
    assert nodes.tolist() == [1, 1, 2, 1]


def test_cycles_that_go_by_steps_share_the_dense_run_only(tmp_path):
    frame = assert_exact(
        tmp_path,
        {
            "steps": {"retrain": "5it"},
            "mixed": {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "3it"}}, "retrain": None},
        },
    )
    assert frame[frame["cycle"] == 0]["node"].nunique() == 1
    assert frame[frame["arm"] == "steps"]["cycle"].tolist() == [0, 1, 2]


def test_runs_that_cannot_be_divided_are_trained_whole(tmp_path):
    arms = {
        "gradual": {"during": "0ep:2ep", "retrain": "1ep"},
        "by steps": {"trainer": {"max_epochs": -1, "max_steps": 15}, "retrain": "8it"},
    }
    frame = assert_exact(tmp_path, arms)
    assert frame[frame["arm"] == "gradual"]["node"].nunique() == 1
    assert frame[frame["arm"] == "by steps"]["cycle"].tolist() == [0, 1, 2]


def test_phases_that_end_early_are_divided_where_they_end(tmp_path):
    stopping = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/loss", "patience": 1, "min_delta": 0.3},
    }
    frame = assert_exact(tmp_path, {"early": {"trainer.max_epochs": 8, "retrain": "4ep", "callbacks": stopping}})
    early = frame[frame["arm"] == "early"]
    assert early["epochs"].iloc[0] < 8, "the case must end early"
