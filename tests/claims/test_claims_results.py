"""What is kept of a study: as much as a mean needs, the same when it is read, and what it cost."""

import pandas as pd
import pytest

from benchmarks.claims.results import Result, hash_of, hours_of_training


def rows(*given: tuple[str, str, int, float]) -> Result:
    return Result("study_digits", pd.DataFrame(given, columns=["arm", "node", "cycle", "seconds"]), {})


def test_what_arms_and_studies_share_costs_once():
    one = rows(("a", "dense", 0, 1800.0), ("a", "tuned", 1, 900.0), ("b", "dense", 0, 1800.0), ("b", "other", 1, 900.0))
    assert hours_of_training([one]) == 1.0
    assert hours_of_training([one, rows(("c", "dense", 0, 1800.0), ("c", "third", 1, 1800.0))]) == 1.5


def test_what_a_search_tried_costs_also_where_another_arm_trained_what_it_chose():
    alone, searched = ("high", "best", 1, 360.0), ("Oracle", "best", 1, 3600.0)
    assert hours_of_training([rows(alone, searched)]) == hours_of_training([rows(searched, alone)]) == 1.0


def test_cycles_of_one_node_cost_each():
    assert hours_of_training([rows(("a", "both", 1, 1800.0), ("a", "both", 2, 1800.0))]) == 1.0


@pytest.mark.parametrize("changed", [{"node": "z"}, {"seed": 2}])
def test_the_hash_of_a_mean_is_that_of_its_nodes_in_the_order_of_seeds(changed):
    given = [{"arm": "a", "seed": seed, "cycle": 1, "node": node} for seed, node in ((0, "x"), (1, "y"))]
    beside = [{"arm": "b", "seed": 0, "cycle": 1, "node": "w"}, {"arm": "a", "seed": 0, "cycle": 0, "node": "v"}]
    known = hash_of(pd.DataFrame(given), "a", 1)
    assert hash_of(pd.DataFrame([*beside, *reversed(given)]), "a", 1) == known
    assert hash_of(pd.DataFrame([{**given[0], **changed}, given[1]]), "a", 1) != known
