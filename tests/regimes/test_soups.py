"""Soups: exact means, zeros that stay, a greedy choice that never falls, and BatchNorm that fits the mean."""

import pytest
import torch
from torch import nn
from toys import Images, fit, toy

from lightning_prune import Soup, soup
from lightning_prune.regimes.soups import greedy_members, mean_of


def network(seed, zeros=2):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        module[0].weight[:zeros] = 0.0
    return module


def batches(count=4):
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(8, 4, generator=generator), torch.arange(8) % 3) for _ in range(count)]


def test_a_soup_is_the_mean_bit_for_bit_and_as_sparse_and_estimates_batch_norm_again():
    networks, data = [network(seed) for seed in range(3)], batches()
    before = [{name: one.clone() for name, one in module.state_dict().items()} for module in networks]
    generator = torch.get_rng_state()
    found = soup(networks, data)
    assert isinstance(found, Soup)
    assert found.members == (0, 1, 2)
    assert found.value is None
    for name, weight in found.module.named_parameters():
        mean = sum(state[name].double() for state in before) / 3
        assert torch.equal(weight, mean.float()), name
    assert not found.module[0].weight[:2].any()
    inputs = found.module[0](torch.cat([batch[0] for batch in data]))
    assert torch.allclose(found.module[1].running_mean, inputs.mean(0), atol=1e-6)
    for module, state in zip(networks, before, strict=True):
        assert all(torch.equal(one, state[name]) for name, one in module.state_dict().items())
        assert module.training
    assert torch.equal(torch.get_rng_state(), generator)


def test_weights_count():
    one, other = network(0), network(1)
    found = soup([one, other], batches(), weights=[3, 1]).module
    assert torch.allclose(found[3].weight, 0.75 * one[3].weight + 0.25 * other[3].weight)


def test_a_greedy_soup_leaves_out_what_would_make_it_worse():
    good = soup([network(0)], batches()).module  # with the statistics that a mean gets, too
    labels = [(x, good.eval()(x).argmax(1)) for x, _ in batches()]
    good.train()
    bad = soup([good], batches()).module
    with torch.no_grad():
        bad[3].weight.mul_(-5)
        bad[3].bias.mul_(-5)
    found = soup([bad, good, good], batches(), validation=labels)
    assert 0 not in found.members
    assert len(found.members) == 2
    assert found.value < 0.5


def test_the_greedy_rule():
    asked = []

    def measure(members):
        asked.append(tuple(members))
        return {(1, 2): 0.1, (1, 2, 0): 0.05, (1, 2, 0, 3): 0.06}[tuple(members)]

    assert greedy_members([0.3, 0.1, 0.2, 0.4], measure) == ((1, 2, 0), 0.05), "equal ones are added, worse ones not"
    assert asked == [(1, 2), (1, 2, 0), (1, 2, 0, 3)]
    assert greedy_members([0.5], measure) == ((0,), 0.5)


def test_checkpoints_and_modules_that_were_fitted_are_averaged(tmp_path):
    paths = []
    for lr in (0.05, 0.1):
        trainer = fit(module=toy(optimizer=lambda p, lr=lr: torch.optim.SGD(p, lr=lr)), max_epochs=1)
        paths.append(tmp_path / f"{lr}.ckpt")
        trainer.save_checkpoint(paths[-1])
    data = Images()
    found = soup(paths, data, network=toy()).module
    fitted = soup([trainer.lightning_module, trainer.lightning_module], data).module
    states = [torch.load(path, weights_only=True)["state_dict"] for path in paths]
    assert torch.equal(found.net[4].weight, mean_of(states)["net.4.weight"])
    assert torch.equal(fitted.net[4].weight, trainer.lightning_module.net[4].weight)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: soup([], batches()), "averages nothing"),
        (lambda: soup([network(0), network(1, zeros=0)], batches()), "other zeros in '0.weight'"),
        (lambda: soup([network(0), nn.Linear(4, 3)], batches()), "another network at place 1"),
        (lambda: soup([network(0), network(1)], batches(), weights=[1.0]), "a number above 0 for each of 2"),
        (lambda: soup([network(0), network(1)], batches(), weights=[1.0, 0.0]), "a number above 0 for each of 2"),
        (lambda: soup([network(0)], batches(), validation=batches(), weights=[1.0]), "a greedy soup counts all"),
    ],
)
def test_what_makes_no_soup_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
