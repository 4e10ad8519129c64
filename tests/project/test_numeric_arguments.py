"""Every number that a class of ours takes: what is no number is refused where it is given, with its name and its value."""

import inspect
import math
from types import UnionType
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

import lightning_prune
from lightning_prune import allocation, criteria, granularity, lab
from lightning_prune.lab import data, networks

NUMBERS = {int, float, type(None)}
# What others make, and users only read.
MADE_FOR_USERS = ("Advice", "Counts", "Cycle", "Evidence", "Exported", "Needs", "Scores", "Shrunk", "Soup")
MAY_BE_ANYTHING = (("Measured", "cka"), ("Measured", "error"))  # NaN where nothing was measured
OWNERS = {"padding": "Augmentation", "rotation": "Augmentation"}  # the part of a data module that takes them
WEIGHTS = [nn.Parameter(torch.zeros(2))]
# Arguments without a default, and those without which a number is not read.
GIVEN: dict[str, dict[str, Any]] = {
    "ACDC": {"sparsity": 0.5, "prune_at": ["1ep"]},
    "Blocks": {"rows": 2, "columns": 2},
    "Classifier": {"network": nn.Linear(2, 2)},
    "CrAM": {"params": WEIGHTS, "base": torch.optim.SGD(WEIGHTS, lr=0.1)},
    "Cubic": {"final": 0.9, "cycles": 2},
    "ImageFolders": {"root": "."},
    "Linear": {"final": 0.9, "cycles": 2},
    "Measured": {"lmc": 0.0},
    "NofM": {"n": 2, "m": 4},
    "OnBatches": {"criterion": criteria.snip, "batches": 2},
    "OneShot": {"final": 0.9},
    "SAFE": {"params": WEIGHTS, "base": torch.optim.SGD(WEIGHTS, lr=0.1), "sparsity": 0.5, "steps": 8},
    "SAM": {"params": WEIGHTS, "base": torch.optim.SGD(WEIGHTS, lr=0.1)},
    "SCyclical": {"low": 0.1, "rise": 0.1},
    "SILOSchedule": {"low": 0.1, "rise": 0.1},
    "SoftFilterPruning": {"fraction": 0.5},
    "SparsityPenalty": {"strength": 0.1},
    "Switch": {"first": criteria.magnitude, "then": criteria.random, "cycle": 2},
    "TorchScheduler": {"scheduler": torch.optim.lr_scheduler.ConstantLR},
    "WithFloor": {"minimum": 0.1},
}  # fmt: skip


def takes_numbers(hint: Any) -> bool:
    kinds = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
    return kinds <= NUMBERS and kinds != {type(None)}


def numeric_arguments() -> list[tuple[type, str, bool]]:
    """Each class with each of its numeric arguments, and whether None is allowed."""
    found = {}
    for module in (lightning_prune, criteria, allocation, granularity, lab, networks, data):
        for kind in (getattr(module, name) for name in dir(module) if name[0].isupper()):
            if inspect.isclass(kind) and kind.__module__.startswith("lightning_prune") and not inspect.isabstract(kind):
                found[kind.__name__] = kind
    return [
        (kind, name, type(None) in get_args(hint))
        for label, kind in sorted(found.items())
        if label not in MADE_FOR_USERS and kind.__init__ is not object.__init__ and not issubclass(kind, Exception)
        for name, hint in get_type_hints(kind.__init__).items()
        if name in inspect.signature(kind).parameters and takes_numbers(hint)
        if name not in getattr(kind, "former_arguments", ()) and (label, name) not in MAY_BE_ANYTHING
    ]


CASES = [
    pytest.param(kind, name, wrong, id=f"{kind.__name__}-{name}-{wrong}")
    for kind, name, optional in numeric_arguments()
    for wrong in ("high", math.nan, True, [], *([] if optional else [None]))
]


@pytest.mark.parametrize(("kind", "argument", "wrong"), CASES)
def test_what_is_no_number_is_refused_with_its_name_and_its_value(kind, argument, wrong):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        kind(**{**GIVEN.get(kind.__name__, {}), argument: wrong})
    said = str(refused.value)
    assert isinstance(refused.value, lightning_prune.UserError), said
    assert f"{OWNERS.get(argument, kind.__name__)}({argument}={wrong!r}" in said


def test_numbers_of_numpy_and_torch_are_numbers():
    for lr in (np.float32(0.1), np.float64(0.1), torch.tensor(0.1), 1):
        assert lightning_prune.FineTune(lr=lr).lr is lr
    assert lightning_prune.SILOSchedule(0.1, 0.1, delay=np.int64(2)).delay == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lightning_prune.Levels(["half", 0.9]), "Levels(levels=['half', 0.9]) must be a list of numbers"),
        (lambda: lightning_prune.Levels(0.9), "Levels(levels=0.9) must be a list of numbers"),
        (lambda: lightning_prune.WarmupSteps(drops=("half",)), "WarmupSteps(drops='half') is no number"),
        (
            lambda: lightning_prune.OneCycleRetrain(max_lr="high"),
            "(max_lr='high') is no number: it must be greater than 0.",
        ),
    ],
)
def test_lists_of_numbers_are_checked_one_by_one(make, said):
    with pytest.raises(lightning_prune.UserError) as refused:
        make()
    assert said in str(refused.value)
