"""What every allocation promises, with parameters or without, and what each one promises, by hand and by oracles."""

import inspect
import math
from fractions import Fraction

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from members import ALLOCATIONS, most_unspent, named
from toys import equal, fit, toy

from lightning_prune import IterativePruning, Levels, OneShot
from lightning_prune.allocation import globally, lamp, layerwise
from lightning_prune.allocation.floor import WithFloor
from lightning_prune.allocation.layer_fractions import LayerFractions
from lightning_prune.allocation.whole_filters import WholeFilters
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.masks.masks import Masks

FUNCTIONS = [a for a in ALLOCATIONS if inspect.isfunction(a)]
RULES = [
    *(a for a in ALLOCATIONS if not inspect.isfunction(a)),
    *(WithFloor(1, allocation) for allocation in FUNCTIONS),
    WithFloor(2),
    WithFloor(1e-4),
    WithFloor(2, LayerFractions({"tiny": 0.05, "*": 0.3})),
    LayerFractions({"*": 0.2}),
    LayerFractions({"output": 0.1, "tiny": 0.01, "*": 0.2}),
    LayerFractions({"tiny": 0.0, "*": 0.9}),
]
ALL = [*FUNCTIONS, *RULES]


def network(kind):
    generator = torch.Generator().manual_seed(3)
    shapes = {"conv": (8, 3, 3, 3), "wide": (500, 300), "output": (10, 500), "tiny": (2, 2)}
    scores = {name: torch.randn(shape, generator=generator).abs() for name, shape in shapes.items()}
    return {
        "normal": scores,
        "ties": {name: torch.ones_like(score) for name, score in scores.items()},
        "few values": {name: score.round() for name, score in scores.items()},
        "zeros": {name: torch.zeros_like(score) for name, score in scores.items()},
        "negative": {name: score - 1 for name, score in scores.items()},
        "all negative": {name: -score for name, score in scores.items()},
        "scales": {name: score * 10.0**i for i, (name, score) in enumerate(scores.items())},
        "huge": {name: score * 1e37 for name, score in scores.items()},
        "minute": {name: score * 1e-37 for name, score in scores.items()},
        "bfloat16": {name: score.bfloat16() for name, score in scores.items()},
    }[kind]


KINDS = ["normal", "ties", "few values", "zeros", "negative", "all negative", "scales", "huge", "minute", "bfloat16"]


def alive(scores, masks):
    return Scores.of({n: s if masks[n] is None else s.masked_fill(masks[n] == 0, DEAD) for n, s in scores.items()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("allocate", ALL, ids=named)
def test_the_budget_is_spent_exactly_on_living_weights_however_often_it_falls(allocate, kind):
    scores = network(kind)
    masks = Masks(scores)
    for density in (1.0, 0.8, 0.64, 0.6399, 0.1, 0.001):
        living = dict(masks.living)
        given = alive(scores, masks)
        counts = allocate(given, density)
        assert all(type(count) is int for count in counts.values())
        assert list(counts) == list(scores)
        assert 0 <= round(density * masks.size) - sum(counts.values()) <= most_unspent(allocate, given)
        assert all(0 <= counts[name] <= living[name] for name in scores)
        masks.shrink_(alive(scores, masks), counts)
        assert masks.living == dict(counts), "the cut that came with the counts is wrong"


@pytest.mark.parametrize("allocate", ALL, ids=named)
def test_it_is_a_function_of_its_arguments_and_leaves_the_scores_alone(allocate):
    given = network("normal")
    before = {name: score.clone() for name, score in given.items()}
    assert allocate(Scores.of(given), 0.3) == allocate(Scores.of(given), 0.3)
    assert equal(given, before)


@pytest.mark.parametrize("allocate", ALL, ids=named)
def test_nothing_to_keep_is_refused(allocate):
    with pytest.raises(ValueError, match="keeps none of 155220 prunable weights: lower the sparsity"):
        allocate(Scores.of(network("normal")), 1e-7)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_is_a_value_that_is_described_alike_in_every_process(rule):
    copy = type(rule)(**vars(rule))
    assert copy == rule
    assert describe(copy) == describe(rule) == repr(rule)
    assert " at 0x" not in repr(rule)
    assert inspect.getdoc(type(rule)).count("Reference:") == 1
    with pytest.raises(AttributeError):
        rule.minimum = 3


# LAMP.


def lamp_by_hand(scores, count):
    """In fractions, from below as the paper has it: each square over the sum of itself and what is sorted behind."""
    ranked = []
    for place, score in enumerate(scores.values()):
        squares = sorted(Fraction(float(one)) ** 2 for one in score.flatten())
        ranked += [(-one / (sum(squares[i:]) or 1), place) for i, one in enumerate(squares)]
    kept = [place for _, place in sorted(ranked)[:count]]
    return {name: kept.count(place) for place, name in enumerate(scores)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [None, 1, 0])
def test_lamp_is_the_papers_score_cut_globally(digits, seed):
    generator = torch.Generator().manual_seed(seed)
    given = {
        name: torch.randn(size, generator=generator) * scale
        for name, size, scale in [("a", 40, 1), ("b", 25, 5), ("c", 4, 0.1)]
    }
    given = {name: (one if digits is None else one.round(decimals=digits)).abs() + 0.001 for name, one in given.items()}
    for count in (1, 3, 5, 20, 47, 68, 69):
        assert lamp(Scores.of(given), count / 69) == lamp_by_hand(given, count)


@pytest.mark.parametrize("count", [60, 300])
def test_lamp_adds_up_in_full_precision_whatever_the_scores_are_in(count):
    generator = torch.Generator().manual_seed(0)
    given = {name: (torch.rand(size, generator=generator) + 0.1).bfloat16() for name, size in (("a", 50), ("b", 600))}
    assert lamp(Scores.of(given), count / 650) == lamp_by_hand(given, count)


def test_lamp_tells_scores_apart_whose_squares_no_float32_can_hold():
    given = {"a": torch.tensor([1.0, 1e-30]), "b": torch.tensor([1.0, 1e-25])}
    assert lamp(Scores.of(given), 3 / 4) == lamp_by_hand(given, 3) == {"a": 1, "b": 2}


def test_lamp_does_not_see_the_scale_of_a_tensor_and_empties_none():
    given = {name: score.double() for name, score in network("normal").items()}
    scaled = {name: score * 2.0 ** (400 * i - 600) for i, (name, score) in enumerate(given.items())}
    for density in (0.9, 0.3, 0.01, 4 / 155220):
        counts = lamp(Scores.of(given), density)
        assert counts == lamp(Scores.of(scaled), density)
        assert min(counts.values()) >= 1
    assert globally(Scores.of(scaled), 0.01) != globally(Scores.of(given), 0.01)


def test_lamp_counts_scores_below_zero_as_zero():
    scores = Scores.of({"a": torch.tensor([2.0, -5.0, -5.0]), "b": torch.tensor([1.0, 0.9, 0.8])})
    assert lamp(scores, 4 / 6) == {"a": 1, "b": 3}


def test_lamp_leaves_one_weight_where_all_are_zero():
    assert lamp(Scores.of({"a": torch.zeros(3), "b": torch.tensor([1.0, 0.5])}), 2 / 5) == {"a": 1, "b": 1}


def test_lamp_cuts_dead_weights_out_of_its_sums():
    living = {"a": torch.tensor([4.0, 3.0, 2.0]), "b": torch.tensor([5.0, 1.0, 1.0])}
    dead = {name: torch.cat([score, torch.full((5,), DEAD)]) for name, score in living.items()}
    for count in range(1, 7):
        assert lamp(Scores.of(dead), count / 16) == lamp(Scores.of(living), count / 6)
    zeros = {"a": torch.tensor([0.0, 0.0, DEAD, DEAD]), "b": torch.zeros(3)}
    assert lamp(Scores.of(zeros), 4 / 7) == {"a": 2, "b": 2}


def test_lamp_gives_no_cut_away_that_is_none_of_the_scores():
    assert not hasattr(lamp(Scores.of(network("normal")), 0.5), "cut")


# A floor.


def pinned(scores, minimum, count):
    """The best ``minimum`` of every tensor first, then the best of the rest by one sort."""
    rest, counts = [], {}
    for place, (name, score) in enumerate(scores.items()):
        ordered = score.flatten().sort(descending=True).values.tolist()
        counts[name] = min(minimum, len(ordered))
        rest += [(-one, place, name) for one in ordered[minimum:]]
    for _, _, name in sorted(rest)[: count - sum(counts.values())]:
        counts[name] += 1
    return counts


@pytest.mark.parametrize("kind", ["normal", "few values", "scales"])
@pytest.mark.parametrize(
    ("minimum", "density"), [(1, 0.001), (3, 0.0001), (30, 0.001), (60, 0.9), (200, 0.01), (1000, 0.02)]
)
def test_a_floor_under_global_pruning_is_one_cut_above_it(kind, minimum, density):
    given = network(kind)
    count = round(density * 155220)
    assert WithFloor(minimum)(Scores.of(given), density) == pinned(given, minimum, count)


@pytest.mark.parametrize("allocate", [one for one in ALL if not isinstance(one, WholeFilters)], ids=named)
@pytest.mark.parametrize("density", [0.001, 0.05, 0.5])
def test_a_floor_holds_under_any_allocation_and_changes_nothing_where_it_held_anyway(allocate, density):
    scores = Scores.of(network("scales"))
    plain = allocate(scores, density)
    if lowest := min(plain.values()):
        assert WithFloor(lowest, allocate)(scores, density) == plain
    floored = WithFloor(30, allocate)(scores, density)
    assert sum(floored.values()) == sum(plain.values())
    assert all(floored[name] >= min(30, scores.living[name]) for name in scores)
    assert all(floored[name] <= max(plain[name], 30) for name in scores), "others pay for it"


def test_a_floor_can_be_a_fraction_of_all_weights():
    scores = Scores.of(network("scales"))
    assert WithFloor(0.0005)(scores, 0.01) == WithFloor(77)(scores, 0.01)  # 0.0005 of 155220, cut off as the authors do
    assert WithFloor(1e-9)(scores, 0.01) == WithFloor(1)(scores, 0.01)


def test_floors_that_take_the_whole_budget_are_just_met_and_one_weight_less_is_an_error():
    scores = Scores.of({"a": torch.rand(50), "b": torch.rand(50), "small": torch.rand(3)})
    assert WithFloor(5)(scores, 13 / 103) == {"a": 5, "b": 5, "small": 3}
    with pytest.raises(
        ValueError, match=r"WithFloor\(minimum=5\) cannot leave 5 weights .* takes 13, and .* keeps 12. Lower"
    ):
        WithFloor(5)(scores, 12 / 103)


@pytest.mark.parametrize("minimum", [0, -1, 1.5, True, math.nan, math.inf, "5"])
def test_a_floor_that_is_no_number_of_weights_is_refused(minimum):
    with pytest.raises(
        ValueError, match=r"WithFloor\(minimum=.*\) must be a number of weights, at least 1, or a fraction"
    ):
        WithFloor(minimum)


def test_a_floor_under_a_name_is_refused():
    with pytest.raises(
        ValueError, match=r"WithFloor\(allocation='globally'\) is not callable: give lightning_prune.globally"
    ):
        WithFloor(1, "globally")


# Rates of their own.

LENET = {"hidden.1.weight": (300, 784), "hidden.3.weight": (100, 300), "classifier.weight": (10, 100)}
PAPER = {3: 51.3, 7: 21.1, 9: 13.5, 15: 3.6}  # % of the weights left after so many rounds, figures of the paper


@pytest.mark.parametrize("rounds", PAPER)
def test_half_the_rate_for_the_output_layer_gives_the_papers_networks(rounds):
    scores = Scores.of({name: torch.rand(shape) for name, shape in LENET.items()})
    left = {
        "hidden.1.weight": 235200 * 0.8**rounds,
        "hidden.3.weight": 30000 * 0.8**rounds,
        "classifier.weight": 1000 * 0.9**rounds,
    }
    density = sum(left.values()) / scores.size
    assert round(100 * density, 1) == PAPER[rounds]
    counts = LayerFractions({"classifier": 0.1, "*": 0.2})(scores, density)
    assert all(abs(counts[name] - left[name]) < 1 for name in left)


def test_equal_fractions_are_one_density_for_all():
    for density in (0.9, 0.31, 0.001):
        scores = Scores.of(network("normal"))
        counts, even = LayerFractions({"*": 0.7})(scores, density), layerwise(scores, density)
        assert all(abs(counts[name] - even[name]) <= 1 for name in scores)


def test_a_rate_of_zero_keeps_a_tensor_whole_and_the_others_pay():
    scores = Scores.of(network("normal"))
    assert LayerFractions({"output": 0.0, "*": 0.2})(scores, 0.05)["output"] == 5000
    with pytest.raises(ValueError, match="never prunes 5000 weights, and density 0.03 keeps 4657"):
        LayerFractions({"output": 0.0, "*": 0.2})(scores, 0.03)


def test_the_first_pattern_that_matches_counts():
    scores = Scores.of({"head.weight": torch.rand(1000), "body.weight": torch.rand(1000)})
    counts = LayerFractions({"head": 0.0, "*.weight": 0.5})(scores, 0.75)
    assert counts == {"head.weight": 1000, "body.weight": 500}
    assert LayerFractions({"*.weight": 0.5, "head": 0.0})(scores, 0.75) == {"head.weight": 750, "body.weight": 750}


@pytest.mark.parametrize(
    ("fractions", "message"),
    [({"haed": 0.1, "*": 0.2}, r"'haed' matches none of head"), ({"head": 0.1}, r"has no fraction for body. Add '\*'")],
)
def test_patterns_that_do_not_fit_the_network_are_refused(fractions, message):
    with pytest.raises(ValueError, match=message):
        LayerFractions(fractions)(Scores.of({"head": torch.rand(4), "body": torch.rand(4)}), 0.5)


@pytest.mark.parametrize("fractions", [{}, {"*": 1.0}, {"*": -0.1}, {"a": 0.5, "b": math.nan}])
def test_fractions_outside_their_range_are_refused(fractions):
    with pytest.raises(ValueError, match=r"LayerFractions\(fractions=.*\) needs fractions in \[0, 1\)"):
        LayerFractions(fractions)


# In a run.


@pytest.mark.parametrize("allocation", [lamp, WithFloor(5), LayerFractions({"net.7": 0.1, "*": 0.2})], ids=named)
def test_a_run_has_the_density_asked_for_and_goes_on_where_it_was_stopped(allocation, tmp_path):
    def run(ckpt_path=None):
        pruning = IterativePruning(cycles=3, retrain="1ep", sparsity=Levels([0.5, 0.8, 0.95]), allocation=allocation)
        saving, module = ModelCheckpoint(tmp_path, "{epoch}", every_n_epochs=1, save_top_k=-1), toy()
        fit([pruning, saving], module, ckpt_path=ckpt_path, max_epochs=1, enable_checkpointing=True)
        return pruning, module

    pruning, module = run()
    assert sum(int(mask.sum()) for mask in pruning.masks.values()) == round(0.05 * 706)
    _, resumed = run(ckpt_path=tmp_path / "epoch=1.ckpt")
    assert equal(module.state_dict(), resumed.state_dict())


def test_a_floor_saves_the_layer_that_global_pruning_empties():
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.98), allocation=WithFloor(2))
    plain = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.98))
    with pytest.warns(UserWarning, match="leaves no weight alive in net.4.weight"):
        fit([plain], large_first_layer(), max_epochs=1)
    fit([pruning], large_first_layer(), max_epochs=1)
    assert [int(pruning.masks[f"net.{i}.weight"].sum()) for i in (0, 4, 7)] == [10, 2, 2]


def large_first_layer():
    module = toy()
    module.net[0].weight.data *= 100
    module.net[4].weight.data *= 1e-6
    return module


def test_a_floor_that_cannot_be_met_ends_the_fit_before_it_trains():
    module = toy()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=Levels([0.5, 0.98]), allocation=WithFloor(10))
    with pytest.raises(
        ValueError, match=r"WithFloor\(minimum=10\) cannot leave 10 weights in each of 3 tensors: that takes 30"
    ):
        fit([pruning], module)
    assert equal(before, module.state_dict())
