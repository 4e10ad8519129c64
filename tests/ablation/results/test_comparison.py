"""What is said about arms: means, paired differences and verdicts, against scipy's own tests."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lightning_prune.ablation.results.comparison import best, compare, summary
from lightning_prune.ablation.results.intervals import UNDECIDED

DENSITIES = [1.0, 0.8, 0.64]


def rows(arm: str, values: np.ndarray, densities: list[float] = DENSITIES, column: str = "test_last") -> pd.DataFrame:
    """One row per seed (rows of ``values``) and cycle (its columns)."""
    cells = [
        {"arm": arm, "seed": seed, "cycle": cycle, "density": densities[cycle], column: value, "error": None}
        for seed, of_seed in enumerate(values)
        for cycle, value in enumerate(of_seed)
    ]
    return pd.DataFrame(cells)


def noisy(arm: str, lift: float, seed: int, **more) -> pd.DataFrame:
    return rows(arm, 0.9 + lift + 0.01 * np.random.default_rng(seed).standard_normal((4, 3)), **more)


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.concat([noisy("silo", 0.02, 1), noisy("clr", 0.0, 2)], ignore_index=True)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_the_one_of_the_paired_t_test(table, confidence):
    found = compare(table, "silo", "clr", confidence=confidence)
    assert found["cycle"].tolist() == [0, 1, 2]
    for row in found.itertuples():
        at = table[table["cycle"] == row.cycle].pivot(index="seed", columns="arm", values="test_last")
        expected = stats.ttest_rel(at["silo"], at["clr"])
        low, high = expected.confidence_interval(confidence)
        assert (row.low, row.high) == pytest.approx((low, high))
        assert row.difference == pytest.approx(at["silo"].mean() - at["clr"].mean())
        assert (row.mean_a, row.mean_b) == pytest.approx((at["silo"].mean(), at["clr"].mean()))
        assert (row.verdict == "silo") == (expected.pvalue < 1 - confidence and row.difference > 0)
        assert row.seeds == 4


def test_the_mean_of_an_arm_is_as_sure_as_the_t_test_says(table):
    for row in summary(table).itertuples():
        values = table[(table["arm"] == row.arm) & (table["cycle"] == row.cycle)]["test_last"]
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (row.mean, row.low, row.high) == pytest.approx((values.mean(), *expected))
        assert row.seeds == 4


@pytest.mark.parametrize(("metric", "mode", "winner"), [
    ("test_last", "max", "high"), ("test_last", "min", "low"), ("loss_last", "max", "low"), ("seconds", "max", "low")
])  # fmt: skip
def test_a_loss_wins_by_being_lower(metric, mode, winner):
    spread = np.array([[0.0], [0.001], [0.002]])
    both = pd.concat([rows("high", 0.9 + spread, column=metric), rows("low", 0.5 + 2 * spread, column=metric)])
    assert compare(both, "high", "low", metric, mode=mode)["verdict"].tolist() == [winner]
    assert compare(both, "low", "high", metric, mode=mode)["verdict"].tolist() == [winner]
    assert best(both, metric, mode)["verdict"].tolist() == [winner]


def test_one_seed_decides_nothing(table):
    found = compare(table[table["seed"] == 0], "silo", "clr")
    assert found["seeds"].tolist() == [1, 1, 1]
    assert found[["low", "high"]].isna().all(axis=None)
    assert found["verdict"].tolist() == [UNDECIDED] * 3


def test_only_seeds_that_both_have_are_paired(table):
    table.loc[(table["arm"] == "silo") & (table["seed"] == 3), "test_last"] = np.nan
    table.loc[(table["arm"] == "clr") & (table["seed"] == 0), "test_last"] = np.nan
    table.loc[(table["arm"] == "clr") & (table["seed"] == 0), "error"] = "out of memory"
    found = compare(table, "silo", "clr", cycle=1)
    both = table[(table["cycle"] == 1) & table["seed"].isin([1, 2])].pivot(index="seed", columns="arm")["test_last"]
    assert found["seeds"].tolist() == [2]
    assert found["difference"].iloc[0] == pytest.approx((both["silo"] - both["clr"]).mean())
    assert found["mean_a"].iloc[0] - found["mean_b"].iloc[0] == pytest.approx(found["difference"].iloc[0])


def test_a_failed_arm_is_undecided_and_never_the_best(table):
    failed = rows("broken", np.full((4, 3), np.nan)).assign(cycle=np.nan, error="ValueError: no such layer")
    whole = pd.concat([table, failed], ignore_index=True)
    assert compare(whole, "silo", "broken")[["seeds", "verdict"]].values.tolist() == [[0, UNDECIDED]] * 3
    assert "broken" not in {*best(whole, "test_last")["arm"], *summary(whole)["arm"]}
    assert not any("broken" in rivals for rivals in best(whole, "test_last")["rivals"])


def test_other_densities_are_matched_by_cycle():
    slow, fast = noisy("slow", 0.02, 1), noisy("fast", 0.0, 2, densities=[1.0, 0.5, 0.25])
    found = compare(pd.concat([slow, fast]), "slow", "fast")
    assert found["density_a"].tolist() == DENSITIES
    assert found["density_b"].tolist() == [1.0, 0.5, 0.25]
    assert found["seeds"].tolist() == [4, 4, 4]


def test_an_arm_with_fewer_cycles_is_compared_as_far_as_it_came(table):
    short = table[(table["arm"] == "silo") | (table["cycle"] < 2)]
    assert compare(short, "silo", "clr")["seeds"].tolist() == [4, 4, 0]
    assert best(short, "test_last")["rivals"].iloc[2] == ()


def test_the_best_is_chosen_by_validation_and_shown_with_its_test():
    spread = np.array([[0.0, 0.0], [0.001, 0.02], [0.002, -0.01]])
    parts = [("a", 0.9, 0.8), ("b", 0.7, 0.85), ("c", 0.9005, 0.6)]
    tables = []
    for number, (arm, val, test) in enumerate(parts):
        one = rows(arm, val + np.roll(spread, number, axis=0), DENSITIES[:2], "val_last")
        tables.append(one.assign(test_last=test))
    found = best(pd.concat(tables))
    assert found["arm"].tolist() == ["c", "c"]
    assert found["test"].tolist() == [0.6, 0.6]
    assert found["rivals"].tolist() == [("a",), ("a",)]
    assert found["verdict"].tolist() == [UNDECIDED, UNDECIDED]
    assert best(pd.concat(tables[:2]))["verdict"].tolist() == ["a", "a"]


def test_the_best_at_a_density(table):
    assert best(table, "test_last", density=0.65)["cycle"].tolist() == [2]
    assert best(table, "test_last", cycle=1)["density"].tolist() == [0.8]
    with pytest.raises(ValueError, match=r"no cycle was trained near it. The densities are 1, 0.8, 0.64"):
        best(table, "test_last", density=0.3)


def test_the_same_number_in_all_arms_is_undecided(table):
    same = pd.concat([table[table["arm"] == "clr"].assign(arm=arm) for arm in ("x", "y")])
    assert set(compare(same, "x", "y")["verdict"]) == {UNDECIDED}


def test_what_cannot_be_asked_is_said(table):
    with pytest.raises(ValueError, match=r"`compare\(b='crl'\)` is no arm .* Did you mean 'clr'\?"):
        compare(table, "silo", "crl")
    with pytest.raises(ValueError, match="compares an arm with itself"):
        compare(table, "silo", "silo")
    with pytest.raises(ValueError, match=r"metric='tests_last'.* Did you mean 'test_last'\?"):
        compare(table, "silo", "clr", metric="tests_last")
    with pytest.raises(ValueError, match=r"metric='val_last'.* Measured are test_last"):
        best(table)
    with pytest.raises(ValueError, match="The cycles are 0, 1, 2"):
        compare(table, "silo", "clr", cycle=7)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        summary(table, confidence=95)
    with pytest.raises(ValueError, match="'max' .* or 'min'"):
        best(table, "test_last", mode="highest")


def test_arms_without_the_metric_are_refused_with_what_to_do():
    table = pd.concat([noisy("a", 0, seed=1), noisy("b", 0, seed=2)])
    silent = table.assign(val_last=np.nan, test_last=np.nan, epochs=3)
    said = r"compare\(metric='val_last'\)`: 'a' and 'b' have no value.*`validation_step`.*Ablation\(metric='...'\).*'epochs'"
    with pytest.raises(ValueError, match=said):
        compare(silent, "a", "b", "val_last")
    with pytest.raises(ValueError, match=r"'a' and 'b' have no value of it, because their runs have failed.*`error`"):
        compare(silent.assign(epochs=np.nan), "a", "b", cycle=1)
    assert summary(silent).empty
    assert best(silent).empty


def test_a_cycle_without_the_metric_in_both_arms_is_left_out():
    table = pd.concat([noisy("a", 0, seed=1), noisy("b", 0, seed=2)])
    table.loc[table["cycle"] == 1, "test_last"] = np.nan
    assert 1 not in set(compare(table, "a", "b")["cycle"])
