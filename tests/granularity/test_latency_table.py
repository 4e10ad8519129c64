"""Estimates of time: a hand-made table, laws of the interpolation, and what a measure has to be."""

import json
import random

import pytest
import torch

from lightning_prune import Latency, UserError
from lightning_prune.allocation import globally
from lightning_prune.criteria.scores import Scores
from lightning_prune.granularity.interpolation import Curve, combined, constant_part, rising
from lightning_prune.granularity.latency_table import LatencyTable, Timed
from lightning_prune.granularity.quantities import find_counts

LINE = Curve((0.0, 100.0), (0.0, 100.0))


def hand_made(total=LINE):
    """100 ms: 60 in a layer between both groups, 20 in a layer of the first alone, and 20 that never shrink."""
    return LatencyTable(
        Latency(),
        100.0,
        {"between": 60.0, "norm": 20.0},
        {
            "first": {"between": Curve((1, 4, 8), (0.4, 0.6, 1.0)), "norm": Curve((1, 8), (0.5, 1.0))},
            "second": {"between": Curve((1, 2), (0.7, 1.0))},
        },
        {"between": 0.2, "norm": 0.0},
        {"first": 8, "second": 2},
        total,
    )


@pytest.mark.parametrize(
    ("living", "milliseconds"),
    [
        ({}, 100),
        ({"first": 8, "second": 2}, 100),
        ({"second": 1}, 20 + 20 + 60 * 0.7),
        ({"first": 4}, 20 + 20 * (0.5 + 0.5 * 3 / 7) + 60 * 0.6),
        ({"first": 6}, 20 + 20 * (0.5 + 0.5 * 5 / 7) + 60 * 0.8),  # half way between 4 and 8
        ({"first": 0}, 20 + 20 * 0.5 + 60 * 0.4),  # below the least width that was measured
        ({"first": 1, "second": 1}, 20 + 20 * 0.5 + 60 * (0.2 + 0.8 * (0.2 / 0.8) * (0.5 / 0.8))),
    ],
)
def test_the_time_follows_from_the_table(living, milliseconds):
    assert hand_made().seconds(living) == pytest.approx(milliseconds)


def test_the_sum_is_brought_to_what_the_whole_network_was_measured_at():
    table = hand_made(Curve((40.0, 100.0), (25.0, 100.0)))
    assert table.seconds({}) == 100
    assert table.seconds({"second": 1}) == pytest.approx(25 + 75 * (82 - 40) / 60)


def test_a_table_goes_through_json_bit_for_bit():
    table = hand_made(Curve((1 / 3, 100.0), (0.1 + 0.2, 100.0)))
    again = LatencyTable.of_state(json.loads(json.dumps(table.state())))
    assert again == table
    assert again.state() == table.state()


@pytest.mark.parametrize("seed", range(5))
def test_removing_a_unit_never_costs_time_whatever_noise_was_measured(seed):
    draw = random.Random(seed)
    groups = {"a": 8, "b": 5, "c": 3}
    alone = {
        name: {
            layer: Curve((1, 2, width), rising([draw.uniform(0.1, 1.3), draw.uniform(0.1, 1.3), 1.0]))
            for layer in "xyz"
        }
        for name, width in groups.items()
    }
    constant = {}
    for layer in "xyz":
        values = [curves[layer].values for curves in alone.values()]
        constant[layer] = constant_part(values, rising([draw.uniform(0, 1), draw.uniform(0, 1), 1.0]))
        assert 0 <= constant[layer] <= min(map(min, values))
    table = LatencyTable(
        Latency(), 4.0, dict.fromkeys("xyz", 1.0), alone, constant, groups, Curve((0.0, 4.0), (0.0, 4.0))
    )
    living = dict(groups)
    before = table.seconds(living)
    assert before == 4.0
    while any(count > 1 for count in living.values()):
        name = draw.choice([name for name, count in living.items() if count > 1])
        living[name] -= 1
        now = table.seconds(living)
        assert now <= before + 1e-12
        before = now


def test_the_constant_part_is_found_where_there_is_one():
    alone = [[0.3 + 0.7 * width for width in (0.0, 0.25, 0.5, 1.0)]] * 3
    joint = [combined(parts, 0.3) for parts in zip(*alone, strict=True)]
    assert constant_part(alone, joint) == pytest.approx(0.3, abs=0.005)


def test_a_budget_is_met_as_nearly_as_whole_units_allow():
    measure = Timed(hand_made(), ("first", "second"))
    scores = Scores.of({"first": torch.arange(8.0), "second": torch.tensor([100.0, 101.0])})
    counts = find_counts(globally, scores, measure, density=0.7)
    assert abs(measure.left(counts) - 70) <= measure.largest() / 2
    assert counts["second"] == 2
    assert measure.total() == 100


def test_the_largest_step_bounds_every_step_from_the_whole_network():
    measure = Timed(hand_made(), ("first", "second"))
    steps = [hand_made().seconds({"first": n + 1}) - hand_made().seconds({"first": n}) for n in range(1, 8)]
    assert measure.largest() >= max(*steps, 100 - hand_made().seconds({"second": 1})) - 1e-9
    assert measure.only({"second"}).pruned == ("second",)
    assert measure.only({"second"}).largest() == pytest.approx(18)


@pytest.mark.parametrize("given", [{"batch": 0}, {"threads": 1.5}, {"rounds": -1}])
def test_a_latency_refuses_what_is_out_of_range(given):
    with pytest.raises(UserError, match=f"Latency\\({next(iter(given))}="):
        Latency(**given)
