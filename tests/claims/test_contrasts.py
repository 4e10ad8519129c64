"""What is said of two arms is what `compare` says; what is said of four is Student's t on the sums of each seed."""

import numpy
import pytest
from made_up_results import table_of
from scipy import stats

from benchmarks.claims.contrasts import Contrast, Finding, Term, measure, missing, over
from lightning_prune.ablation.results.comparison import compare

FOUR = ("rewound, iterative", "tuned, iterative", "rewound, one-shot", "tuned, one-shot")


def drawn(*means: float, seeds: int = 6) -> list[list[float]]:
    generator = numpy.random.default_rng(0)
    return [(mean + 0.01 * generator.standard_normal(seeds)).tolist() for mean in means]


def of_four(values: list[list[float]]) -> tuple[Contrast, dict]:
    contrast = Contrast("rewound", "iterative, more", (Term(FOUR[0]), Term(FOUR[3])), (Term(FOUR[1]), Term(FOUR[2])))
    return contrast, {(arm, 1): row for arm, row in zip(FOUR, values, strict=True)}


@pytest.mark.parametrize(
    ("mean", "expected", "winner"),
    [(0.95, "for", "silo"), (0.85, "against", "clr"), (0.9, "undecided", "undecided")],
)
def test_two_arms_at_their_last_cycle_differ_as_compare_says(mean, expected, winner):
    silo, clr, early = drawn(mean, 0.9, 0.2)
    silo[4] = None  # not paired
    table = table_of({("silo", 0): early, ("silo", 1): early, ("silo", 2): silo, ("clr", 0): early, ("clr", 2): clr})
    found, said = measure(over("silo", "clr", "here"), table), compare(table, "silo", "clr", cycle=2).iloc[0]
    assert (found.difference, found.low, found.high) == pytest.approx(
        (said["difference"], said["low"], said["high"]), abs=1e-14
    )
    assert (found.seeds, found.decided) == (said["seeds"], expected) == (5, expected)
    assert said["verdict"] == winner


def test_arms_are_compared_at_the_cycle_that_is_asked_for():
    table = table_of({("silo", 1): [0.8, 0.8], ("silo", 2): [0.1, 0.2], ("clr", 1): [0.5, 0.6], ("clr", 2): [0.9, 0.9]})
    contrast = Contrast("silo over clr", "early", (Term("silo", 1),), (Term("clr", 1),))
    assert measure(contrast, table).difference == pytest.approx(0.25)
    assert measure(over("silo", "clr", "late"), table).difference == pytest.approx(-0.75)


def test_four_terms_are_added_up_within_each_seed():
    values = drawn(0.9, 0.85, 0.88, 0.87)
    contrast, accuracies = of_four(values)
    found = measure(contrast, table_of(accuracies))
    sums = numpy.array(values[0]) - values[1] - values[2] + values[3]
    interval = stats.ttest_1samp(sums, 0).confidence_interval(0.95)
    assert (found.difference, found.low, found.high) == pytest.approx((sums.mean(), *interval), abs=1e-14)
    assert found.seeds == 6


@pytest.mark.parametrize("absent", range(4))
def test_a_seed_that_misses_one_of_four_terms_does_not_count(absent):
    values = drawn(0.9, 0.85, 0.88, 0.87)
    values[absent][2] = None
    contrast, accuracies = of_four(values)
    found = measure(contrast, table_of(accuracies).dropna())
    rows = [[value for seed, value in enumerate(row) if seed != 2] for row in values]
    sums = numpy.array(rows[0]) - rows[1] - rows[2] + rows[3]
    assert (found.seeds, found.difference) == (5, pytest.approx(sums.mean()))
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(sums, 0).confidence_interval(0.95)))


def test_a_difference_without_an_end_above_or_below_zero_is_undecided():
    same = [0.9, 0.8, 0.7]
    table = table_of({("silo", 1): same, ("clr", 1): same, ("one seed", 1): [0.99]})
    equal, alone = measure(over("silo", "clr", "here"), table), measure(over("one seed", "clr", "here"), table)
    assert (equal.difference, equal.decided) == (0, "undecided")
    assert (alone.seeds, alone.difference, alone.decided) == (1, pytest.approx(0.09), "undecided")


def test_a_contrast_waits_for_all_of_its_arms():
    table = table_of({("silo", 1): [0.9], ("untested", 1): [None]})
    assert not missing(over("silo", "silo", "here"), table)
    assert missing(over("silo", "untested", "here"), table)
    assert missing(over("misspelt", "silo", "here"), table)


@pytest.mark.parametrize(
    ("low", "high", "decided"),
    [
        (1e-9, 0.1, "for"),
        (0.0, 0.1, "undecided"),
        (-1e-9, 1e-9, "undecided"),
        (-0.1, 0.0, "undecided"),
        (-0.1, -1e-9, "against"),
    ],
)
def test_an_interval_decides_that_does_not_contain_zero(low, high, decided):
    assert Finding(over("silo", "clr", "here"), 5, (low + high) / 2, low, high).decided == decided
