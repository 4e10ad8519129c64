"""A cycle whose level equals the last keeps its masks bit for bit: it is more training, and nothing else."""

import pytest
import torch
from lightning.pytorch import Callback
from members import ALLOCATIONS, CRITERIA, named
from toys import equal, fit, toy

from lightning_prune import (
    Blocks,
    Filters,
    FineTune,
    IterativePruning,
    Levels,
    MaskSource,
    NofM,
    Reinitialize,
    Structures,
    Weights,
    globally,
    layerwise,
)
from lightning_prune.allocation.layer_fractions import LayerFractions
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.criteria import Filters as FilterScores
from lightning_prune.criteria import InSequence, Switch, geometric_median, magnitude, random, scores_units, snip, wanda
from lightning_prune.masks.chain import Chain

UNITS = {
    "weights": [Weights(), Filters(), Blocks(2, 3), Structures()],
    "flops": [Weights(), Filters(), Blocks(2, 3), Structures()],
    "units": [Filters(), Blocks(2, 3), Structures()],
}
MEASURED = [(units, measure) for measure, choices in UNITS.items() for units in choices]
OF_WEIGHTS = [one for one in CRITERIA if not scores_units(one) and not isinstance(one, FilterScores)]


class Masks(Callback):
    """The masks at the start of every cycle."""

    def __init__(self):
        self.found = []

    def on_cycle_start(self, trainer, pl_module, cycle):
        clock = next(one for one in trainer.callbacks if isinstance(one, IterativePruning))
        self.found.append({name: mask.clone() for name, mask in clock.masks.items()})


def masks_of(*beside, levels=(0.4, 0.4, 0.4), **options):
    masks, moves = Masks(), beside or (FineTune(),)
    clock = IterativePruning(cycles=len(levels), retrain="1ep", sparsity=Levels(list(levels)), **options)
    fit([clock, *moves, masks], toy(), max_epochs=1)
    assert len(masks.found) == len(levels)
    return masks.found


@pytest.mark.filterwarnings("ignore:Cycle 1 leaves no weight alive")
@pytest.mark.parametrize("criterion", OF_WEIGHTS, ids=named)
def test_whatever_criterion_scores_them(criterion):
    allocation = globally
    if isinstance(criterion, InSequence):  # it goes with fractions of each tensor only, and names blocks
        criterion, allocation = InSequence(wanda), layerwise
    first, *others = masks_of(criterion=criterion, allocation=allocation)
    assert all(equal(first, other) for other in others)
    assert any((~mask).any() for mask in first.values())


@pytest.mark.parametrize("allocation", ALLOCATIONS, ids=named)
def test_however_the_weights_are_allocated(allocation):
    if isinstance(allocation, LayerFractions):
        allocation = LayerFractions({"*.7.*": 0.1, "*": 0.2})  # this network has other names
    criterion = FilterScores(magnitude) if isinstance(allocation, WholeFilters) else random
    first, *others = masks_of(allocation=allocation, criterion=criterion)
    assert all(equal(first, other) for other in others)


@pytest.mark.parametrize("level", [0.31, 0.45, 0.58, 0.7])
@pytest.mark.parametrize(("units", "measure"), MEASURED, ids=str)
def test_in_whatever_units_they_die_and_whatever_is_measured(units, measure, level):
    # Fresh weights: every score is another one.
    first, *others = masks_of(
        Reinitialize(), FineTune(), levels=(level,) * 3, granularity=units, measure=measure, criterion=random
    )
    assert all(equal(first, other) for other in others)


@pytest.mark.filterwarnings("ignore:.*removes nothing in cycle 2")
def test_a_pattern_that_stays_keeps_its_places():
    masks = Masks()
    clock = IterativePruning(cycles=2, retrain="1ep", granularity=NofM(2, 4))
    fit([clock, Reinitialize(), FineTune(), masks], toy(), max_epochs=1)
    assert equal(*masks.found)


def test_the_next_level_prunes_what_was_trained_meanwhile():
    first, second, third = masks_of(levels=(0.4, 0.4, 0.7), allocation=layerwise)
    assert equal(first, second)
    for name, mask in third.items():
        assert not (mask & ~first[name]).any()
        assert mask.sum() < first[name].sum()


def test_a_mask_of_one_criterion_is_trained_and_the_last_prune_goes_by_another():
    both = masks_of(criterion=Switch(first=snip, then=magnitude, cycle=3), levels=(0.4, 0.4, 0.7), allocation=globally)
    alone = masks_of(criterion=snip, levels=(0.4, 0.4, 0.7), allocation=globally)
    assert equal(both[:2], alone[:2])
    assert not equal(both[2], alone[2])


class Shrinking(MaskSource):
    """Fewer weights in every cycle under a sparsity that stays."""

    def __call__(self, shapes, cycles, seed):
        masks = [
            {n: torch.arange(s.numel()).view(s) % 4 < 3 - cycle for n, s in shapes.items()} for cycle in range(cycles)
        ]
        return Chain.of(masks, shapes, [0.5] * cycles)


def test_masks_of_another_run_are_followed_all_the_same():
    masks = Masks()
    clock = IterativePruning(cycles=2, retrain="1ep", masks_from=Shrinking())
    fit([clock, FineTune(), masks], toy(), max_epochs=1)
    counts = [sum(int(mask.sum()) for mask in found.values()) for found in masks.found]
    assert counts[1] < counts[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Switch(snip, magnitude, cycle=0), "Switch"),
        (lambda: Switch("snip", magnitude, cycle=2), r"Switch\(first='snip'\) is no criterion"),
        (lambda: Switch(magnitude, geometric_median, cycle=2), "mixes criteria of whole units"),
    ],
)
def test_a_switch_that_cannot_work_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
