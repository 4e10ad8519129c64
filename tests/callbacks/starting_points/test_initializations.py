"""Fresh weights from a distribution that the user names: after the layers' own draw, under the masks."""

import math

import pytest
import torch
import yaml
from fresh_draws import Own, by_hand
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from policies_in_runs import Watch
from torch import nn
from toys import fit, toy

from lightning_prune import FineTune, IterativePruning, Reinitialize, ScratchTrain
from lightning_prune.basics.random_state import seed_of
from lightning_prune.callbacks.starting_points.fresh_weights import refuse_without_fresh_weights
from lightning_prune.callbacks.starting_points.initializations import sparse_fan_in_
from lightning_prune.lab.networks.initialization import glorot_normal_

LAYERS = ("net.0.weight", "net.4.weight", "net.7.weight")
COUNTED = []


def sevens_(module):
    """Count what is dead, and set every weight to 7."""
    weights = dict(module.named_parameters())
    COUNTED.append([int((weights[name] == 0).sum()) for name in LAYERS])
    for name in LAYERS:
        weights[name].fill_(7.0)


@pytest.mark.parametrize("start", [Reinitialize, ScratchTrain])
def test_the_function_has_the_last_word_finds_dead_weights_at_zero_and_the_masks_hold(start):
    COUNTED.clear()
    watch = Watch()
    fit([IterativePruning(cycles=2), start(initialize=sevens_), FineTune(), watch], toy())
    assert len(watch.at_start) == 2
    for begun, dead in zip(watch.at_start, COUNTED[-2:], strict=True):
        for name, count in zip(LAYERS, dead, strict=True):
            assert int((begun[name] == 0).sum()) == count
            assert int((begun[name] == 7).sum()) == begun[name].numel() - count
    assert sum(COUNTED[-1]) == 706 - round(0.64 * 706)
    fresh = by_hand(seed_of(0, 1))["net.0.bias"]
    assert torch.equal(watch.at_start[0]["net.0.bias"], fresh), "what it leaves alone is drawn by the layers"


def test_a_named_distribution_is_drawn_from_the_seed():
    def begun(seed):
        watch = Watch()
        fit([IterativePruning(cycles=1), Reinitialize(seed, initialize=glorot_normal_), FineTune(), watch], toy())
        return watch.at_start[0]

    one, again, other = begun(0), begun(0), begun(1)
    assert torch.equal(one["net.4.weight"], again["net.4.weight"])
    assert not torch.equal(one["net.4.weight"], other["net.4.weight"])
    assert one["net.4.bias"].count_nonzero() == 0, "torch's own are not zero"
    living = one["net.4.weight"][one["net.4.weight"] != 0]
    assert living.abs().max() > math.sqrt(1 / 64), "torch's own end there"


def test_sparse_fan_in_is_as_wide_as_few_weights_are_left():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(32, 64, 3), nn.Conv2d(32, 64, 3, groups=4), nn.Linear(200, 50), nn.Conv2d(4, 4, 1)
    )
    alive = {}
    with torch.no_grad():
        for layer, density in zip(network, (0.1, 0.5, 0.5, 0.0), strict=True):
            alive[layer] = torch.rand_like(layer.weight) < density
            layer.weight.mul_(alive[layer])
    linear = network[2].weight.clone()
    sparse_fan_in_(network)
    for layer in (network[0], network[1]):
        assert torch.equal(layer.weight != 0, alive[layer])
        drawn, fan = layer.weight[alive[layer]], int(alive[layer].sum()) / 32
        assert drawn.std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.05)
        assert abs(drawn.mean().item()) < 0.1 * math.sqrt(2 / fan)
    assert torch.equal(network[2].weight, linear)
    assert network[3].weight.count_nonzero() == 0, "nothing lives there, and nothing is not a number"
    assert network[0].weight.requires_grad
    assert network[0].weight.is_leaf


@pytest.mark.filterwarnings("ignore:IterativePruning leaves own.layer.weight dense")  # it takes no part in the network
def test_a_parameter_that_only_the_function_draws_is_welcome():
    with pytest.raises(ValueError, match=r"Reinitialize\(initialize=\.\.\.\) a function that does"):
        refuse_without_fresh_weights(Own(), "Reinitialize")
    refuse_without_fresh_weights(Own(), "Reinitialize", lambda module: nn.init.zeros_(module.scale))
    named = toy()
    named.own = Own()
    for start in (Reinitialize, ScratchTrain):
        callbacks = [IterativePruning(cycles=1), start(initialize=lambda module: nn.init.zeros_(module.own.scale))]
        fit([*callbacks, FineTune()], named, max_epochs=1)


@pytest.mark.parametrize("start", [Reinitialize, ScratchTrain])
def test_what_is_no_function_is_refused(start):
    with pytest.raises(ValueError, match=rf"{start.__name__}\(initialize='glorot'\) is not callable"):
        start(initialize="glorot")


@pytest.mark.parametrize("start", [Reinitialize, ScratchTrain])
def test_yaml_names_it_by_its_path_and_its_dump_parses_back(start):
    path = "lightning_prune.callbacks.starting_points.initializations.sparse_fan_in_"
    given = {"callbacks": [{"class_path": f"lightning_prune.{start.__name__}", "init_args": {"initialize": path}}]}
    parser = ArgumentParser()
    parser.add_argument("--callbacks", type=list[Callback])
    config = parser.parse_string(yaml.safe_dump(given))
    assert parser.instantiate(config).callbacks[0].initialize is sparse_fan_in_
    dump = parser.dump(config)
    assert path in dump
    assert parser.dump(parser.parse_string(dump)) == dump
