"""Which peaks are as good as the Oracle's best, and whether SILO's is one of them."""

import json

import pandas as pd
import pytest

from benchmarks.claims.catalog.retraining_questions import of_silo
from benchmarks.claims.oracle import peaks_of
from benchmarks.claims.tables import peaks as table_of_peaks

PEAKS = [0.01, 0.03, 0.1, 0.3]


def study(
    scores: list[list[float | None]], silo: float = 0.03, values: list[list[float]] | None = None
) -> pd.DataFrame:
    """A study with one searched cycle: the scores of each seed, and SILO's peak."""
    rows = []
    for seed, own in enumerate(scores):
        said = {"argument": "max_lr", "values": PEAKS if values is None else values[seed], "scores": own, "chosen": 0.1}
        common = {"seed": seed, "cycle": 2, "density": 0.5}
        rows.append({**common, "arm": "Oracle", "peak_lr": 0.1, "tried": json.dumps(said)})
        rows.append({**common, "arm": "SILO", "peak_lr": silo, "tried": None})
        rows.append({**common, "arm": "SILO", "cycle": 3, "peak_lr": 9.0, "tried": None})
        rows.append({**common, "arm": "Oracle", "cycle": 0, "peak_lr": 9.0, "tried": None})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("scores", "best", "low", "high"),
    [
        ([0.80, 0.896, 0.90, 0.897], 0.1, 0.03, 0.3),  # to both sides
        ([0.896, 0.80, 0.90, 0.897], 0.1, 0.1, 0.3),  # a good peak behind a valley is none of them
        ([0.90, 0.80, 0.899, 0.80], 0.01, 0.01, 0.01),  # the best at the lower edge, alone
        ([0.90, 0.898, 0.80, 0.899], 0.01, 0.01, 0.03),
        ([0.80, 0.80, 0.898, 0.90], 0.3, 0.1, 0.3),  # the best at the upper edge
        ([0.90, 0.90, 0.90, 0.90], 0.01, 0.01, 0.3),  # all of them
        ([0.80, 0.8949, 0.90, 0.8951], 0.1, 0.1, 0.3),  # just outside and just inside half a point
    ],
)
def test_the_interval_reaches_from_the_best_as_far_as_peaks_are_within_half_a_point(scores, best, low, high):
    (found,) = peaks_of(study([scores]))
    assert (found.cycle, found.density) == (2, 0.5)
    assert (found.best, found.low, found.high) == (best, low, high)


@pytest.mark.parametrize(("silo", "hit"), [(0.029, False), (0.03, True), (0.05, True), (0.1, True), (0.101, False)])
def test_silo_hits_where_its_peak_lies_in_the_interval_ends_included(silo, hit):
    (found,) = peaks_of(study([[0.8, 0.9, 0.9, 0.8]], silo))
    assert (found.low, found.high, found.silo, found.hit) == (0.03, 0.1, silo, hit)


def test_peaks_that_were_tried_in_any_order_are_told_in_a_rising_one():
    orders = [[0.1, 0.01, 0.3, 0.03], [0.3, 0.1, 0.03, 0.01]]
    (found,) = peaks_of(study([[0.9, 0.8, 0.7, 0.6], [0.7, 0.9, 0.6, 0.8]], values=orders))
    assert found.tried == (0.01, 0.03, 0.1, 0.3)
    assert found.scores == pytest.approx((0.8, 0.6, 0.9, 0.7))


def test_the_best_is_the_best_on_average_over_seeds():
    seeds = [[0.7, 0.90, 0.89, 0.5], [0.7, 0.80, 0.89, 0.5], [0.7, 0.94, 0.89, 0.5]]  # means .70 .88 .89 .50
    (found,) = peaks_of(study(seeds))
    assert (found.best, found.low, found.high) == (0.1, 0.1, 0.1)
    assert found.scores == pytest.approx((0.7, 0.88, 0.89, 0.5))


def test_a_peak_that_failed_with_a_seed_is_no_candidate():
    (found,) = peaks_of(study([[0.7, 0.9, 0.8, 0.95], [0.7, 0.9, 0.8, None]]))
    assert (found.tried, found.best) == ((0.01, 0.03, 0.1), 0.03)


def test_a_study_without_a_search_has_no_peaks():
    table = study([[0.7, 0.9, 0.8, 0.9]])
    assert peaks_of(table[table["arm"] != "Oracle"]) == []


def test_a_search_with_nothing_pruned_has_a_row_of_its_own_without_a_judgement():
    pruned, whole = study([[0.8, 0.9, 0.9, 0.8]]), study([[0.9, 0.8, 0.7, 0.6]])
    whole = whole.assign(arm=whole["arm"] + ", unpruned", density=1.0)
    found = pd.concat([pruned, whole])
    text = table_of_peaks(peaks_of(found), peaks_of(found, "Oracle, unpruned"))
    *_, first, second = text.splitlines()
    assert first == "| 100 %, nothing pruned | 0.01 | 0.01 to 0.01 |  |  |"
    assert second == "| 50 % | 0.03 | 0.03 to 0.1 | 0.03 | yes |"


def test_the_peaks_are_also_compared_with_nothing_pruned_where_the_study_has_such_arms():
    peaks = {"SILO": 0.058, "low peak": 0.05, "high peak": 0.2, "reversed S": 0.192}
    rows = [
        {"arm": arm, "cycle": cycle, "density": 1 - 0.2 * cycle, "peak_lr": peak, "seed": 0}
        for arm, peak in peaks.items()
        for cycle in range(5)
    ]
    table = pd.DataFrame(rows)
    whole = table.assign(arm=table["arm"] + ", unpruned", density=1.0)
    before, after = of_silo(table), of_silo(pd.concat([table, whole]))
    assert after[: len(before)] == before, "and in the same columns"
    added = after[len(before) :]
    assert [(one.plus[0].arm, one.minus[0].arm) for one in added[::3]] == [
        ("SILO, unpruned", f"{other}, unpruned") for other in ("low peak", "high peak", "reversed S")
    ]
    assert {one.column for one in added} == {one.column for one in before}
    assert not any(one.counts for one in added)
