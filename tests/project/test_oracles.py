"""Agreement with independent rewrites and with the papers' own figures."""

import itertools
import math

import pytest
import torch

from lightning_prune import allocation
from lightning_prune.allocation.ranking import find_cut
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.masks.masks import keep_top
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.schedules import rates


def by_one_sort(scores: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """Global top-k by a stable sort of everything: ties go to the first tensors and the lowest index."""
    joined = torch.cat([score.flatten() for score in scores.values()])
    kept = torch.zeros(joined.numel(), dtype=torch.uint8)
    kept[joined.sort(descending=True, stable=True).indices[:count]] = 1
    parts = kept.split([score.numel() for score in scores.values()])
    return {name: part.view_as(score) for (name, score), part in zip(scores.items(), parts, strict=True)}


def tensors(kind: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    large = {"a": torch.randn(400, 500, generator=generator), "b": torch.randn(30, generator=generator)}
    return {
        "large": large,
        "small": {"a": torch.randn(3, 4, generator=generator), "b": torch.randn(5, generator=generator)},
        "rounded": {name: score.round() for name, score in large.items()},
        "equal": {name: torch.zeros_like(score) for name, score in large.items()},
        "mostly equal": {name: score * (score > 2) for name, score in large.items()},
        "half dead": {name: score.masked_fill(score < 0, DEAD) for name, score in large.items()},
        # A sample with a stride sees only the small ones: the bracket is wrong and has to be widened.
        "adversarial": {
            "a": torch.where(torch.arange(200_000) % 3 == 0, 0.0, torch.arange(200_000.0)),
            "b": large["b"],
        },
        "sorted": {"a": torch.arange(300_000.0), "b": -torch.arange(10.0)},
    }[kind]


KINDS = ["large", "small", "rounded", "equal", "mostly equal", "half dead", "adversarial", "sorted"]


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.2, 0.5, 0.8, 0.9999, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_global_selection_is_that_of_one_sort(kind, fraction):
    given = tensors(kind)
    scores = Scores.of(given)
    count = max(1, round(fraction * sum(scores.living.values())))
    counts = allocation.globally(scores, count / scores.size)
    expected = by_one_sort(given, count)
    assert {name: int(mask.sum()) for name, mask in expected.items()} == counts
    for name, score in given.items():
        assert torch.equal(keep_top(score, counts[name]), expected[name]), name
    cut = find_cut(scores, count)
    ordered = torch.cat([score.flatten() for score in given.values()]).sort(descending=True).values
    assert cut.value == float(ordered[count - 1])


def test_the_guess_changes_the_speed_and_not_the_result():
    score = torch.randn(1000, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    for count, guess in itertools.product([1, 10, 500, 999], [-5.0, 0.0, 0.1, 5.0]):
        from lightning_prune.masks.masks import keep_top_

        mask = torch.empty_like(score, dtype=torch.uint8)
        keep_top_(mask, Scores.of({"": score}), count, guess)
        assert torch.equal(mask, keep_top(score, count))


def test_erk_is_its_closed_form_where_nothing_is_capped():
    shapes = {"conv": (16, 8, 3, 3), "linear": (100, 60), "last": (100, 300)}
    scores = Scores.of({name: torch.rand(shape) for name, shape in shapes.items()})
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    budget = 0.05 * scores.size
    epsilon = budget / sum(raw[name] * math.prod(shape) for name, shape in shapes.items())
    counts = allocation.erk(scores, 0.05)
    for name, shape in shapes.items():
        assert abs(counts[name] - epsilon * raw[name] * math.prod(shape)) <= 1


def test_erk_caps_what_would_exceed_dense_and_rescales_the_rest():
    scores = Scores.of({"tiny": torch.rand(2, 2), "a": torch.rand(100, 100), "b": torch.rand(200, 50)})
    counts = allocation.erk(scores, 0.5)
    assert counts["tiny"] == 4
    assert counts["b"] / counts["a"] == pytest.approx(250 / 200, rel=1e-3)


def test_masks_survive_packing_to_one_bit():
    for shape in [(1,), (7,), (8,), (9, 5), (3, 4, 5)]:
        mask = torch.randint(0, 2, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        bits = pack_bits(mask)
        assert bits.numel() == -(-mask.numel() // 8)
        assert torch.equal(unpack_bits(bits, mask.shape), mask)


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0.3), (97, 0.1), (500, 0.5), (40, 0.25)])
def test_one_cycle_is_torchs_at_every_step(steps, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=steps, pct_start=warmup, div_factor=100, final_div_factor=100
    )
    for step in range(steps):
        ours = rates.one_cycle(step, steps, 0.1 / 100, 0.1, 0.1 / 10_000, warmup)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        momentum = rates.one_cycle(step, steps, 0.95, 0.85, 0.95, warmup)
        assert momentum == pytest.approx(optimizer.param_groups[0]["momentum"], rel=1e-9)
        optimizer.step()
        if step + 1 < steps:
            torchs.step()


# Le & Hua's CLR: fraction of the run -> learning rate and momentum, from the authors' settings.
CLR = {0.0: (0.001, 0.95), 0.05: (0.0505, 0.90), 0.1: (0.1, 0.85), 0.25: (0.0933, 0.8567), 0.5: (0.0587, 0.8913),
       0.75: (0.0179, 0.9321), 0.9: (0.0030, 0.9470), 1.0: (1e-5, 0.95)}  # fmt: skip


@pytest.mark.parametrize("progress", CLR)
def test_one_cycle_reproduces_le_and_hua(progress):
    steps = 200_001
    step = round(progress * (steps - 1))
    lr, momentum = CLR[progress]
    assert rates.one_cycle(step, steps, 0.001, 0.1, 1e-5, 0.1) == pytest.approx(lr, abs=6e-5)
    assert rates.one_cycle(step, steps, 0.95, 0.85, 0.95, 0.1) == pytest.approx(momentum, abs=6e-5)


# SILO: the peak rate of cycle m for ResNet-20 (0.03, 0.04, 5, 1) and VGG-19 (0.04, 0.06, 5, 1). VGG-19 reaches 0.1 to
# five decimals at cycle 11, one later than ResNet-20 reaches 0.07.
SILO = [(0.03, 0.04), (0.03, 0.04), (0.03004, 0.04006), (0.03213, 0.04320), (0.04761, 0.06642), (0.06446, 0.09169),
        (0.06893, 0.09839), (0.06977, 0.09966), (0.06995, 0.09992), (0.06999, 0.09998), (0.07, 0.09999),
        (0.07, 0.1), (0.07, 0.1)]  # fmt: skip


@pytest.mark.parametrize(("network", "low", "rise"), [(0, 0.03, 0.04), (1, 0.04, 0.06)])
def test_silos_peaks_are_those_of_its_table(network, low, rise):
    for m, expected in enumerate(SILO):
        density, growth = 0.8**m, 0.8
        assert round(rates.s_shape(density, growth, low, rise, beta=5), 5) == pytest.approx(expected[network], abs=1e-9)


def test_silos_peak_is_the_papers_expression():
    for m in range(3, 25):
        gamma = 1 - 0.8 ** (m - 1)
        papers = 0.03 + 0.04 / (1 + (gamma / (1 - gamma)) ** -5)
        assert rates.s_shape(0.8**m, 0.8, 0.03, 0.04, beta=5) == pytest.approx(papers, rel=1e-12)
