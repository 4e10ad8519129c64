"""Fresh weights in every cycle: the layers' own, the same everywhere, and without a trace."""

import random as random_of_python

import numpy
import pytest
import torch
import yaml
from fresh_draws import Order, Own, by_hand
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from policies_in_runs import Watch
from resumed_runs import resume_from_every_epoch
from torch import nn
from toys import STEPS, Images, Rates, Toy, equal, fit, toy
from zoo import Adversaries, Attentive, Language, Late, Recurrent, Shared

from lightning_prune import (
    EstimateBatchNorm,
    FineTune,
    IterativePruning,
    Reinitialize,
    ScratchTrain,
    TrainOnly,
    WeightRewind,
)
from lightning_prune.basics.random_state import seed_of, take
from lightning_prune.callbacks.starting_points.fresh_weights import fresh_weights_, refuse_without_fresh_weights
from lightning_prune.lab import timm_network

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]


def run(callback, cycles=2, module=None, **options):
    watch, order, rates = Watch(), Order(), Rates()
    pruning = IterativePruning(cycles=cycles, **options.pop("pruning", {}))
    trainer = fit([pruning, callback, watch, order, rates], module or toy(), **options)
    return trainer, watch, order, rates


def test_every_cycle_starts_at_weights_that_the_layers_draw_under_the_masks():
    trainer, watch, order, _ = run(Reinitialize(seed=5), data=Images(shuffle=True))
    masks = next(c for c in trainer.callbacks if isinstance(c, IterativePruning)).masks
    for index, begun in enumerate(watch.at_start, start=1):
        fresh = by_hand(seed_of(5, index))
        for name, tensor in begun.items():
            living = tensor != 0 if name in masks else torch.ones_like(tensor, dtype=torch.bool)
            assert torch.equal(tensor[living], fresh[name][living]), (index, name)
    assert [int((begun["net.4.weight"] == 0).sum()) > 0 for begun in watch.at_start] == [True, True]
    assert watch.at_start[0]["net.1.running_mean"].abs().sum() == 0
    assert [order.remembered[start] for start in (4 * STEPS, 8 * STEPS)] == [0, 0], "the optimizer forgets"
    assert order.remembered[4 * STEPS - 1] > 0
    assert watch.checked


def test_the_cycles_replay_the_whole_dense_run_unless_a_policy_says_otherwise():
    _, watch, _, rates = run(Reinitialize())
    assert [cycle.steps for cycle in watch.cycles] == [4 * STEPS] * 2
    assert rates.lr()[4 * STEPS : 8 * STEPS] == rates.lr()[: 4 * STEPS]
    assert len(set(rates.lr())) > 1
    rates = Rates()
    fit([IterativePruning(cycles=1, retrain="1ep"), Reinitialize(), FineTune(), rates], toy())
    assert rates.lr()[4 * STEPS :] == [rates.lr()[4 * STEPS - 1]] * STEPS


def test_a_cycle_draws_other_weights_or_the_same():
    new, once = (run(Reinitialize(draw=draw))[1].at_start for draw in ("every-cycle", "once"))
    dead = once[1]["net.0.weight"] == 0
    assert torch.equal(once[0]["net.0.weight"][~dead], once[1]["net.0.weight"][~dead])
    assert not torch.equal(new[0]["net.0.bias"], new[1]["net.0.bias"])
    assert torch.equal(once[0]["net.0.bias"], once[1]["net.0.bias"])


def test_nothing_else_that_is_drawn_depends_on_the_seed():
    orders = [run(Reinitialize(seed=seed), data=Images(shuffle=True))[2].labels for seed in (0, 1)]
    assert orders[0] == orders[1]
    module, before = nn.Sequential(Draws(3, 2)), take()
    fresh_weights_(module, seed=1)
    refuse_without_fresh_weights(module, "Reinitialize")
    assert equal(before, take())


class Draws(nn.Linear):
    """Draws from every generator that there is."""

    def reset_parameters(self):
        super().reset_parameters()
        drawn = numpy.random.rand() + random_of_python.random()  # noqa: NPY002 - the global generator
        self.weight.data.add_(drawn)


def test_numpy_and_python_are_seeded_too():
    one, other = Draws(3, 2), Draws(3, 2)
    fresh_weights_(one, seed=3)
    numpy.random.rand(), random_of_python.random()  # noqa: NPY002 - the global generators go on
    fresh_weights_(other, seed=3)
    assert torch.equal(one.weight, other.weight)


class Initializes(Own):
    def init_weights(self):
        nn.init.constant_(self.scale, 1.5)


class InitializesLayers(Own):
    def init_weights(self, layer):
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, 0.25)
        if isinstance(layer, Own):
            nn.init.constant_(layer.scale, 2.5)


def test_a_parameter_that_nothing_draws_is_refused_by_name_and_nothing_was_changed():
    module = nn.Sequential(Own(), nn.BatchNorm1d(2))
    module[1](torch.rand(4, 2))  # statistics that are not those of a new one
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(ValueError, match=r"^Reinitialize cannot draw 0\.scale anew: .*reset_parameters\(\)"):
        refuse_without_fresh_weights(module, "Reinitialize")
    assert equal(dict(module.state_dict()), before)
    named = toy()
    named.own = Own()
    with pytest.raises(ValueError, match=r"Reinitialize cannot draw own\.scale anew"):
        fit([IterativePruning(cycles=1), Reinitialize()], named)


def test_the_modules_own_init_weights_has_the_last_word():
    one, other = Initializes(), InitializesLayers()
    for module in (one, other):
        module.scale.data.zero_()
        refuse_without_fresh_weights(module, "Reinitialize")
        fresh_weights_(module, seed=0)
    assert one.scale.tolist() == [1.5, 1.5]
    assert one.layer.weight.abs().max() > 0.3
    assert other.scale.tolist() == [2.5, 2.5]
    assert torch.equal(other.layer.weight, torch.full((2, 3), 0.25))


def test_the_network_inside_draws_what_its_layers_do_not():
    """A vision transformer of timm holds tokens and positions, and its ``init_weights`` has an optional argument."""
    inside = nn.ModuleDict(
        {"network": timm_network("vit_tiny_patch16_224", img_size=32, depth=1), "own": Initializes()}
    )
    refuse_without_fresh_weights(inside, "Reinitialize")
    before = inside["network"].pos_embed.clone()
    fresh_weights_(inside, seed=1)
    again = inside["network"].pos_embed.clone()
    assert not torch.equal(before, again)
    assert again.std().item() == pytest.approx(0.02, rel=0.1)  # timm's own
    assert inside["own"].scale.tolist() == [1.5, 1.5]


NETWORKS = [
    lambda: Recurrent(nn.LSTM),
    lambda: Recurrent(nn.GRU, bidirectional=True),
    Attentive,
    lambda: Attentive(kdim=4, vdim=4, add_bias_kv=True),
    Shared,
    Language,
    Adversaries,
    lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
    Toy,
]


@pytest.mark.parametrize("make", NETWORKS)
def test_usual_layers_get_weights_like_those_of_a_new_network(make):
    """Standard deviation and mean of every tensor are near those of ten new ones."""
    module, news = make(), [make().state_dict() for _ in range(10)]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(50.0)
    refuse_without_fresh_weights(module, "Reinitialize")
    fresh_weights_(module, seed=0)
    for name, tensor in module.named_parameters():
        spread = torch.stack([new[name].float() for new in news])
        assert tensor.abs().max() <= 1.5 * spread.abs().max() + 1e-6, name
        assert (tensor.std(correction=0) > 0) == (spread.std() > 0), name


def test_tied_weights_are_drawn_once_and_what_is_frozen_stays():
    module = Language()
    module.cells.requires_grad_(False)
    before = module.cells.weight_ih_l0.clone()
    fresh_weights_(module, seed=0)
    assert module.decoder.weight is module.embedding.weight
    assert module.embedding.weight.std() > 0.7, "an embedding is drawn from N(0, 1), the decoder within 0.36"
    assert torch.equal(module.cells.weight_ih_l0, before)
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    weight, bias = (parameter.clone() for parameter in layer.parameters())
    fresh_weights_(layer, seed=0)
    assert torch.equal(layer.weight, weight), "also where only a part of a layer is frozen"
    assert not torch.equal(layer.bias, bias)


def test_layers_that_are_made_late():
    module = Late()
    module.configure_model()
    refuse_without_fresh_weights(module, "Reinitialize")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reinitialize(seed=-1), r"Reinitialize\(seed=-1\) is no seed"),
        (lambda: Reinitialize(seed="a"), r"Reinitialize\(seed='a'\) is no seed"),
        (lambda: Reinitialize(draw="twice"), r"Reinitialize\(draw='twice'\) is unknown: give 'every-cycle'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_two_starting_points_are_refused_and_so_is_one_inside_the_dense_run():
    with pytest.raises(ValueError, match="WeightRewind and Reinitialize would both set the weights"):
        fit([IterativePruning(cycles=1), WeightRewind(to=0), Reinitialize()])
    with pytest.raises(ValueError, match="Leave out Reinitialize"):
        fit([IterativePruning(cycles=2, during="1ep:3ep"), Reinitialize()])


def test_a_resumed_run_that_names_another_start_is_refused(tmp_path):
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    fit([IterativePruning(cycles=1), Reinitialize(), keep], enable_checkpointing=True)
    with pytest.raises(ValueError, match=r'weights: the checkpoint has "Reinitialize\(seed=0'):
        fit([IterativePruning(cycles=1), Reinitialize(seed=1)], ckpt_path=tmp_path / "epoch=4.ckpt")


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    resume_from_every_epoch(tmp_path, Reinitialize, retrain=None)


class Keep(Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 4 and batch_idx == 0:
            torch.save(dict(pl_module.state_dict()), self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_draw_the_same(tmp_path):
    fit([IterativePruning(cycles=1), Reinitialize(), Keep(tmp_path)], toy(), devices=2, strategy="ddp_fork")
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert equal(one, other)
    living = one["net.0.weight"] != 0
    assert torch.equal(one["net.0.weight"][living], by_hand(seed_of(0, 1))["net.0.weight"][living])


CALLBACKS = [
    ({}, Reinitialize), ({"seed": 3, "draw": "once"}, Reinitialize), ({}, ScratchTrain),
    ({"budget": "equal-flops", "cap": 2.0}, ScratchTrain), ({}, EstimateBatchNorm), ({"batches": 5}, EstimateBatchNorm),
    ({}, TrainOnly), ({"parts": ["norm", "net.7.*"]}, TrainOnly), ({"to": "2ep", "batch_norm": "keep"}, WeightRewind),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "kind"), CALLBACKS)
def test_yaml_makes_them_and_its_dump_parses_back(arguments, kind):
    parser = ArgumentParser()
    parser.add_argument("--callbacks", type=list[Callback])
    given = {"callbacks": [{"class_path": f"lightning_prune.{kind.__name__}", "init_args": arguments}]}
    config = parser.parse_string(yaml.safe_dump(given))
    made = parser.instantiate(config).callbacks[0]
    assert type(made) is kind
    assert {name: getattr(made, name) for name in arguments} == arguments
    dump = parser.dump(config)
    assert parser.dump(parser.parse_string(dump)) == dump
