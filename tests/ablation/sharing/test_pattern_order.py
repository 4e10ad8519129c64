"""Arms that order their patterns in another way share a node only if that changes nothing."""

from fnmatch import fnmatchcase
from itertools import product

import pytest
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.sharing.pattern_order import can_match_one, with_pattern_order
from lightning_prune.selection.parameters import matches

FRACTIONS, WIDTHS = ("LayerFractions", "fractions"), ("Widths", "widths")


def allocation(kind, patterns):
    name, argument = kind
    return {"class_path": f"lightning_prune.{name}", "init_args": {argument: patterns}}


def keys(*orders, kind=FRACTIONS):
    arms = {f"arm {place}": {"allocation": allocation(kind, patterns)} for place, patterns in enumerate(orders)}
    return [run.nodes()[1].key for run in Ablation.from_config(study(arms)).runs]


@pytest.mark.parametrize("kind", [FRACTIONS, WIDTHS])
def test_another_order_of_patterns_for_one_tensor_is_another_arm(kind):
    first = {"layers.1": 0.5, "layers.*": 0.25}
    one, other = keys(first, dict(reversed(first.items())), kind=kind)
    assert one != other


def test_another_order_of_patterns_for_other_tensors_is_the_same_arm():
    first = {"layers.1": 0.5, "layers.5": 0.25, "*": 0.125}
    second = {"layers.5": 0.25, "layers.1": 0.5, "*": 0.125}
    assert len({*keys(first, second)}) == 1


def test_the_names_of_nodes_of_earlier_versions_stay():
    for patterns in (
        {"classifier": 0.1, "*": 0.2},
        {"features": 0.1, "hidden": 0.2, "classifier": 0.1},
        {"stages.0.7.first": 1.0, "stages.1.0.first": 1.0, "stages.0.*.first": 0.9, "stages.1.*.first": 0.9},
    ):
        entry = allocation(WIDTHS, patterns)
        assert with_pattern_order([entry]) == [entry]


def test_other_mappings_keep_no_order():
    entry = {"class_path": "torch.optim.SGD", "init_args": {"a": {"*": 1, "b": 2}}}
    assert with_pattern_order(entry) == entry


def test_whether_patterns_can_match_one_name_is_as_with_all_short_names():
    patterns = ["".join(signs) for length in (1, 2, 3) for signs in product("a.*?", repeat=length)]
    names = ["".join(signs) for length in range(1, 7) for signs in product("a.", repeat=length)]
    matched = {pattern: {name for name in names if matches(name, pattern)} for pattern in patterns}
    for first, second in product(patterns, repeat=2):
        assert can_match_one(first, second) == bool(matched[first] & matched[second]), (first, second)


def test_patterns_with_brackets_may_match_one_name():
    assert fnmatchcase("a1", "a[12]")
    assert can_match_one("a[12]", "b")
