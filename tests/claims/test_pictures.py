"""What is drawn: arms that prune, where they end, and the dense network where a line goes on from it."""

from made_up_results import table_of

from benchmarks.claims.pictures import accuracy, picture_of
from benchmarks.claims.results import Result


def drawn(cycles: int, arm: str = "silo", density: float | None = None) -> list[float]:
    table = table_of({(arm, cycle): [0.9, 0.8] for cycle in range(cycles + 1)})
    table = table if density is None else table.assign(density=density)
    return sorted(accuracy(Result("study_digits", table, {}))["x"])


def test_a_line_starts_at_the_dense_network_and_a_point_stands_alone():
    assert drawn(cycles=2) == [25, 50, 100]
    assert drawn(cycles=1) == [50]


def test_a_control_that_prunes_nothing_has_no_place_over_the_weights_left():
    assert drawn(cycles=2, density=1.0) == []


def axis_of(*arms: str) -> list[float] | None:
    table = table_of({(arm, cycle): [0.9, 0.8] for arm in arms for cycle in (0, 1)})
    table["density"] = [0.1 if arm.endswith("few") else 0.5 for arm in table["arm"]]
    (panel,) = picture_of(8, [Result("study_digits", table, {})]).to_dict()["hconcat"]
    return panel["layer"][0]["encoding"]["x"]["scale"].get("domain")


def test_arms_at_one_density_are_drawn_as_if_at_one():
    low, high = axis_of("silo", "other")
    assert (low < 40, high > 60) == (True, True), "the few per cent that they are set apart would fill the picture"
    assert axis_of("silo", "few") is None, "several densities are their own axis"
