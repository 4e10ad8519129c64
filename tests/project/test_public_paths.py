"""Names that configs, notebooks and the README of an earlier version had go on working, and warn where they moved."""

import importlib
import warnings

import pytest

STAY = [
    "lightning_prune.ablation.report",
    "lightning_prune.allocation.erk",
    "lightning_prune.allocation.globally",
    "lightning_prune.allocation.layerwise",
    "lightning_prune.cli",
    "lightning_prune.criteria.Filters",
    "lightning_prune.criteria.last_epoch_change",
    "lightning_prune.criteria.last_epoch_change_magnitude",
    "lightning_prune.criteria.magnitude",
    "lightning_prune.criteria.random",
    "lightning_prune.criteria.Evidence",
    "lightning_prune.lab.CIFAR10",
    "lightning_prune.lab.CIFAR100",
    "lightning_prune.lab.Classifier",
    "lightning_prune.lab.Digits",
    "lightning_prune.lab.LeNet300100",
    "lightning_prune.lab.LotteryConvNet",
    "lightning_prune.lab.MNIST",
    "lightning_prune.lab.ResNet",
    "lightning_prune.lab.VGG",
    "lightning_prune.lab.WideResNet",
    "lightning_prune.lab.networks.initialization.glorot_normal_",
    "lightning_prune.lab.networks.initialization.kaiming_normal_",
    "lightning_prune.schedules.Cubic",
    "lightning_prune.schedules.Geometric",
    "lightning_prune.schedules.Levels",
    "lightning_prune.schedules.Linear",
    "lightning_prune.schedules.OneShot",
    "lightning_prune.selection.Prunable",
    "lightning_prune.ablation.Ablation",
    "lightning_prune.ablation.report.report_study",
]
TOP = [
    "AdaptiveLinearRestart",
    "ConstantRate",
    "CosineRestart",
    "CyclicRestart",
    "Cyclical",
    "EstimateBatchNorm",
    "FineTune",
    "Geometric",
    "IterativePruning",
    "LRRewind",
    "LayerFractions",
    "LearningRatePolicy",
    "Levels",
    "LinearRestart",
    "OneCycleRetrain",
    "PruningAware",
    "Reinitialize",
    "SCyclical",
    "SILOSchedule",
    "ScaledRestart",
    "ScratchTrain",
    "ShapedRate",
    "TrainOnly",
    "WarmupSteps",
    "WeightRewind",
    "WholeFilters",
    "WithFloor",
    "Cycle",
    "globally",
    "magnitude",
]
MOVED = {
    "lightning_prune.callbacks.initialisations.sparse_fan_in_": "lightning_prune.callbacks.starting_points.initializations.sparse_fan_in_",
    "lightning_prune.flops.count_flops": "lightning_prune.structures.flops.count_flops",
    "lightning_prune.initializations.sparse_fan_in_": "lightning_prune.callbacks.starting_points.initializations.sparse_fan_in_",
    "lightning_prune.callbacks.learning_rate.FineTune": "lightning_prune.FineTune",
    "lightning_prune.LayerRates": "lightning_prune.LayerFractions",
    "lightning_prune.scores.Scores": "lightning_prune.criteria.scores.Scores",
    "lightning_prune.rates.s_shape": "lightning_prune.schedules.rates.s_shape",
    "lightning_prune.durations.Duration": "lightning_prune.schedules.durations.Duration",
    "lightning_prune.lab.run_folder.RunLogger": "lightning_prune.lab.runs.run_folder.RunLogger",
}


def found(path):
    """What a dotted path names, as YAML looks it up: a module, and a name in it."""
    module, _, name = path.rpartition(".")
    owner = importlib.import_module(module)
    return getattr(owner, name) if hasattr(owner, name) else importlib.import_module(path)


@pytest.mark.parametrize("path", [*STAY, *(f"lightning_prune.{name}" for name in TOP)])
def test_a_public_path_stays(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found(path) is not None


@pytest.mark.parametrize(("former", "present"), MOVED.items())
def test_a_former_path_is_what_it_became_and_warns(former, present):
    with pytest.warns(DeprecationWarning, match=r"now: write that"):
        there = found(former)
    assert there is found(present)
