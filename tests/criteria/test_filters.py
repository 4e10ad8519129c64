"""Whole filters: pruned while the network trains, or in cycles after it."""

import itertools

import pytest
import torch
from toys import Images, fit, toy

from lightning_prune import IterativePruning, Linear, Prunable, WholeFilters, erk, globally, layerwise
from lightning_prune.criteria import Filters, magnitude, random
from lightning_prune.criteria.scores import Scores

CONVOLUTIONS = Prunable(types=[torch.nn.Conv2d])


def filters_of(weight):
    return weight.detach().flatten(1)


def living(weight):
    """Whether each filter has a living weight, after a look that those that have one are whole."""
    alive = filters_of(weight) != 0
    assert (alive.all(1) | ~alive.any(1)).all(), "a filter is half dead"
    return alive.any(1)


@pytest.mark.parametrize("criterion", [magnitude, random])
def test_filters_die_whole_while_the_network_trains_and_stay_dead(criterion):
    seen = []

    pruning = IterativePruning(
        cycles=3,
        during="1ep:4ep",
        sparsity=Linear(0.75, 3),
        criterion=Filters(criterion),
        allocation=WholeFilters(),
        prunable=CONVOLUTIONS,
    )
    module = toy()
    module.on_train_epoch_end = lambda: seen.append(living(module.net[0].weight))
    fit([pruning], module, Images(shuffle=True), max_epochs=6)
    assert [int(alive.sum()) for alive in seen] == [4, 4, 3, 2, 1, 1]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(seen))


def test_the_filters_with_the_smallest_l1_norm_die():
    module = toy()
    norms = []

    def remember():
        if module.trainer.current_epoch == 1:
            norms.append(filters_of(module.net[0].weight).abs().sum(1).clone())

    module.on_train_epoch_end = remember
    one_cycle = {"cycles": 1, "retrain": "1ep", "sparsity": Linear(0.5, 1), "prunable": CONVOLUTIONS}
    fit([IterativePruning(criterion=Filters(magnitude), allocation=WholeFilters(), **one_cycle)], module, max_epochs=2)
    alive = living(module.net[0].weight)
    assert set(alive.nonzero().flatten().tolist()) == set(norms[0].topk(2).indices.tolist())


@pytest.mark.parametrize("allocation", [globally, layerwise, erk])
@pytest.mark.parametrize("density", [0.9, 0.5, 0.2, 0.07])
def test_every_filter_is_whole_whatever_allocates(allocation, density):
    shapes = {"a": (8, 3, 3, 3), "b": (16, 8, 3, 3), "c": (10, 16), "d": (5,)}
    scores = Scores.of({name: Filters(magnitude)(torch.randn(shape), None) for name, shape in shapes.items()})
    counts = WholeFilters(allocation)(scores, density)
    sizes = {"a": 27, "b": 72, "c": 16, "d": 1}
    assert all(count % sizes[name] == 0 for name, count in counts.items())
    assert 0 <= round(density * scores.size) - sum(counts.values()) < 72


def test_what_is_not_callable_is_refused():
    with pytest.raises(ValueError, match=r"Filters\(criterion='l1'\) is not callable: give lightning_prune.magnitude"):
        Filters("l1")
    with pytest.raises(ValueError, match=r"WholeFilters\(allocation=0.5\) is not callable"):
        WholeFilters(0.5)
