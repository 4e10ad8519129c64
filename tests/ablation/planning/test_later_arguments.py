"""Arguments that IterativePruning has got since nodes were named first: with their defaults they are in no name."""

import pytest
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.planning.node_content import cycle_content, dense_content


def run_of(**changes):
    return Ablation.from_config(study({"a": changes})).runs[0]


def keys(**changes):
    return [node.key for node in run_of(**changes).nodes()]


def test_the_default_granularity_is_in_the_name_of_no_node():
    run = run_of()
    content = [dense_content(run.resolved, whole=True), cycle_content(run.resolved, run.resolved.stretches[-1])]
    assert "criterion" in str(content)
    assert "granularity" not in str(content)
    assert "measure" not in str(content)


@pytest.mark.parametrize("changes", [{"measure": "units"}, {"granularity": {"class_path": "lightning_prune.Filters"}}])
def test_another_granularity_names_other_cycles_and_shares_the_dense_run(changes):
    (plain, *cycles), (dense, *others) = keys(), keys(**changes)
    assert plain == dense
    assert not {*cycles} & {*others}


def test_the_default_by_name_names_the_same_nodes():
    assert keys() == keys(granularity={"class_path": "lightning_prune.Weights"}, measure="weights")
