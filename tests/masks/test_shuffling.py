"""Masks that lie within one another as one number for each weight, and the laws of their shuffles."""

import pytest
import torch

from lightning_prune.masks.chain import LIVES, Chain
from lightning_prune.masks.shuffling import SHUFFLES, even

SHAPES = {"wide": torch.Size([30, 20]), "narrow": torch.Size([7, 3]), "kept": torch.Size([11]), "one": torch.Size([1])}
CYCLES = 6


def masks_of(seed=0, shapes=SHAPES):
    """Masks in which tensors lose weights at rates of their own, and one loses none."""
    generator = torch.Generator().manual_seed(seed)
    living = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items() if name != "kept"}
    found = []
    for _ in range(CYCLES):
        living = {name: mask & (torch.rand(mask.shape, generator=generator) > 0.3 / (1 + index))
                  for index, (name, mask) in enumerate(living.items())}  # fmt: skip
        found.append(living)
    return found


@pytest.fixture
def chain():
    return Chain.of(masks_of(), SHAPES, [0.1 * cycle for cycle in range(1, CYCLES + 1)])


def shuffled(chain, shuffle, seed=0):
    return Chain(SHUFFLES[shuffle](chain.deaths, seed), chain.sparsities)


def same(one, other):
    return all(torch.equal(death, other.deaths[name]) for name, death in one.deaths.items())


def test_a_chain_gives_back_the_masks_it_was_made_of(chain):
    for cycle, masks in enumerate(masks_of(), start=1):
        found = chain.masks(cycle)
        assert all(torch.equal(found[name], mask) for name, mask in masks.items())
        assert found["kept"].all()
        assert "kept" not in chain.packed(cycle)
    assert chain.deaths["kept"].unique().tolist() == [LIVES]
    with pytest.raises(ValueError, match=r"weights of 'wide' that are dead in cycle 1 live in cycle 2"):
        Chain.of(masks_of()[::-1], SHAPES, [0.0] * CYCLES)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_shuffle_keeps_the_counts_and_the_dead_and_depends_on_the_seed_alone(chain, shuffle):
    torch.manual_seed(torch.seed())
    found, again, other = (shuffled(chain, shuffle, seed) for seed in (3, 3, 4))
    assert same(found, again)
    assert not same(found, other)
    assert not same(found, chain)
    last = {name: torch.ones(shape, dtype=torch.bool) for name, shape in SHAPES.items()}
    for cycle in range(1, CYCLES + 1):
        before, after = chain.alive(cycle), found.alive(cycle)
        assert sum(before.values()) == sum(after.values())
        assert (before == after) == (shuffle == "layerwise")
        masks = found.masks(cycle)
        assert not any(bool((masks[name] & ~last[name]).any()) for name in masks), "dead ones come back"
        last = masks
    assert found.deaths["wide"].shape == SHAPES["wide"]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_cycles_that_are_known_do_not_change_what_comes_of_them(chain, shuffle):
    first = Chain.of(masks_of()[:2], SHAPES, chain.sparsities[:2])
    for cycle in (1, 2):
        short, long = (shuffled(one, shuffle).masks(cycle) for one in (first, chain))
        assert all(torch.equal(short[name], long[name]) for name in SHAPES)


def test_over_seeds_every_place_is_as_likely_as_any_other():
    shapes = {"a": torch.Size([4, 5]), "b": torch.Size([20])}
    chain = Chain.of([{"a": torch.arange(20).view(4, 5) < 4, "b": torch.arange(20) < 16}], shapes, [0.5])
    for shuffle, expected in {"layerwise": (0.2, 0.8), "globally": (0.5, 0.5), "even": (0.5, 0.5)}.items():
        drawn = [shuffled(chain, shuffle, seed).masks(1) for seed in range(400)]
        for name, share in zip(shapes, expected, strict=True):
            mean = torch.stack([one[name].double() for one in drawn]).mean(0)
            assert mean.sub(share).abs().max() < 0.12, (shuffle, name)


def test_even_masks_keep_the_same_share_of_every_tensor_to_within_half_a_weight(chain):
    found = shuffled(chain, "even")
    for cycle in range(1, CYCLES + 1):
        alive = found.alive(cycle)
        low = max((alive[name] - 0.5) / shape.numel() for name, shape in SHAPES.items())
        high = min((alive[name] + 0.5) / shape.numel() for name, shape in SHAPES.items())
        assert low <= high, "there is a share that all of them have"
    assert even({"a": torch.zeros(0)}, 0)["a"].shape == (0,)


def test_masks_are_named_by_what_is_in_them(chain):
    names = chain.digests()
    assert len(set(names)) == CYCLES
    assert Chain.of(masks_of()[:3], SHAPES, chain.sparsities[:3]).digests() == names[:3]
    assert not set(names) & set(shuffled(chain, "layerwise").digests())
