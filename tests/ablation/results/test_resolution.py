"""Verdicts do not rest on seeds that agree by chance: an accuracy is a count of images, and a count is coarse."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lightning_prune.ablation.results.comparison import best, compare, summary
from lightning_prune.ablation.results.intervals import UNDECIDED, intervals
from lightning_prune.ablation.results.resolution import least_spread, resolution

IMAGES = 359


def table(metric: str = "test_last", images: int = IMAGES, **right: list[int]) -> pd.DataFrame:
    """One row per arm and seed, each with so many images right."""
    return pd.DataFrame([
        {"arm": arm, "seed": seed, "cycle": 1, "density": 0.5, metric: count / images, "node": f"{arm}-{seed}"}
        for arm, counts in right.items() for seed, count in enumerate(counts)
    ])  # fmt: skip


@pytest.mark.parametrize("seeds", [2, 3])
def test_seeds_that_each_lose_one_image_decide_nothing(seeds):
    found = table(a=[350, 344, 347][:seeds], b=[349, 343, 346][:seeds])
    row = compare(found, "a", "b").iloc[0]
    assert row["verdict"] == UNDECIDED
    assert row["low"] < 0 < row["high"]
    chosen = best(found.rename(columns={"test_last": "val_last"})).iloc[0]
    assert (chosen["verdict"], chosen["rivals"]) == (UNDECIDED, ("b",))


def test_seeds_that_each_lose_many_images_decide():
    assert compare(table(a=[350, 344, 348], b=[340, 334, 338]), "a", "b")["verdict"].tolist() == ["a"]
    assert compare(table(a=[350, 344], b=[300, 293]), "a", "b")["verdict"].tolist() == ["a"]


def test_a_mean_of_equal_seeds_has_an_interval():
    row = summary(table(a=[351, 351, 351], b=[350, 352, 349])).iloc[0]
    assert row["high"] - row["mean"] == pytest.approx(stats.t.ppf(0.975, 2) * (1 / IMAGES) / np.sqrt(12 * 3))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_arms_that_are_equal_are_called_different_no_more_often_than_an_interval_may(seeds):
    """Two arms of the same accuracy, 0.1 to 3 images of spread: 5 % at most are decided."""
    random = np.random.default_rng(seeds)
    decided, naive = [], []
    for spread in (0.1, 0.3, 0.5, 0.7, 1.0, 3.0):
        middle = random.uniform(size=(20_000, 1))
        a, b = (np.round(middle + spread * random.standard_normal((20_000, seeds))) / IMAGES for _ in range(2))
        least = least_spread(pd.DataFrame({"test_last": a.ravel()}), "test_last", terms=2)
        for said, floor in ((decided, least), (naive, 0.0)):
            found = intervals(pd.DataFrame(a - b), least=floor)
            said.append(((found["low"] > 0) | (found["high"] < 0)).mean())
    assert max(decided) < 0.055
    assert seeds > 2 or max(naive) > 0.1  # what the floor is for


def test_what_shares_a_node_is_one_network_and_its_difference_is_known():
    both = table(a=[350, 344], b=[350, 344], c=[340, 345]).assign(node=["x", "y", "x", "y", "z", "u"])
    assert compare(both, "a", "b")[["low", "high"]].values.tolist() == [[0.0, 0.0]]
    assert compare(both.assign(node=None), "a", "b")["low"].iloc[0] < 0


def test_what_is_counted_or_set_is_exact():
    rows = table("epochs", 1, a=[10, 10], b=[40, 40])
    assert compare(rows, "a", "b", "epochs")["verdict"].tolist() == ["a"]
    assert compare(rows, "a", "b", "epochs")[["low", "high"]].values.tolist() == [[-30, -30]]


def test_the_step_is_read_off_the_values():
    counts = np.random.default_rng(0).integers(300, 359, 60)
    exact = pd.DataFrame({"test_last": counts / IMAGES})
    assert resolution(exact, "test_last") == pytest.approx(1 / IMAGES)
    noise = 1 + 1e-7 * np.random.default_rng(1).standard_normal(60)  # of sums over batches in float32
    assert resolution(exact * noise[:, None], "test_last") == pytest.approx(1 / IMAGES, rel=1e-3)
    assert resolution(exact.round(6), "test_last") == pytest.approx(1 / IMAGES, rel=1e-3)
    ends = pd.DataFrame({"test_last": [*exact["test_last"], np.nan, np.inf]})
    assert resolution(ends, "test_last") == pytest.approx(1 / IMAGES)
    assert np.isnan(resolution(pd.DataFrame({"test_last": [0.5, 0.5]}), "test_last"))


def test_a_loss_that_diverged_in_one_arm_says_nothing_of_the_others():
    losses = [0.31, 0.32, 0.33, 2.7e9, 3.1e9, 2.2e9]
    found = table("loss_last", 1, a=losses[:3], b=[0.41, 0.425, 0.43], c=losses[3:])
    assert resolution(found, "loss_last") <= 0.01
    assert compare(found, "a", "b", "loss_last")["verdict"].tolist() == ["a"]


def test_where_all_values_are_equal_no_interval_is_given():
    same = table(a=[359, 359, 359], b=[359, 359, 359])
    assert summary(same)[["low", "high"]].isna().all(axis=None)
    assert compare(same, "a", "b")["verdict"].tolist() == [UNDECIDED]
