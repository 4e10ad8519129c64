"""Fresh weights where structures are pruned: those of the network without its dead units, and as long as its operations."""

import copy
import math

import pytest
import torch
from fresh_draws import Own
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from policies_in_runs import Watch
from random_networks import random_network
from resumed_runs import compare
from structured import Residual, Structured, structured
from torch import nn
from toys import STEPS, Images, equal, fit

from lightning_prune import (
    IterativePruning,
    Levels,
    OneShot,
    Reinitialize,
    ScratchTrain,
    Structures,
    shrink,
    structures_of,
)
from lightning_prune.basics.random_state import seed_of, take
from lightning_prune.callbacks.starting_points.fresh_weights import fresh_weights_, refuse_without_fresh_weights
from lightning_prune.callbacks.starting_points.initializations import sparse_fan_in_
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.lab.networks.initialization import kaiming_normal_
from lightning_prune.shrinking.slices import cuts_of, mask_, tensors_of
from lightning_prune.structures.flops import count_flops

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:It is recommended to use `self.log"),
]


def living(network, images, seed=0):
    """The network with some units dead in every group."""
    found = structures_of(network, images)
    generator = torch.Generator().manual_seed(seed)
    alive = {}
    for name, group in found.groups.items():
        if not group.removable:
            continue
        alive[name] = (torch.rand(group.width, generator=generator) < 0.6).to(torch.uint8)
        alive[name][0] = 1
    return found, LivingNetwork(found.groups, alive, found.costs)


def check(network, images, initialize=None, seed=0):
    """A draw of the whole network holds what the network that was shrunk first draws for itself."""
    found, left = living(network, images, seed)
    small = shrink(copy.deepcopy(network), example=images, alive=left.alive, structures=found)
    if small.masked:
        return False
    before = take()
    fresh_weights_(small.module, 5, initialize)
    fresh_weights_(network, 5, initialize, left)
    assert equal(before, take()), "no trace in the random state"
    cuts = cuts_of(found.groups.values(), left.alive)
    drawn = tensors_of(small.module)
    for name, tensor in tensors_of(network).items():
        part = tensor
        for dim, kept in cuts.get(name, {}).items():
            part = part.index_select(dim, kept)
        assert torch.equal(part, drawn[name]), name
    parameters = dict(network.named_parameters())
    once = {name: one.detach().clone() for name, one in parameters.items()}
    mask_(parameters, found.groups.values(), left.alive)
    assert equal(once, {name: one.detach() for name, one in parameters.items()}), "dead places are zero"
    return True


class Text(nn.Module):
    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.embed, self.recurrent = nn.Embedding(11, 6), kind(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(self.recurrent(self.embed(tokens))[0][:, -1])


IMAGES = torch.rand(4, 1, 6, 6)
NETWORKS = {
    "residual": lambda: (Residual(), IMAGES),
    "lstm": lambda: (Text(), torch.arange(8).view(2, 4)),
    "gru": lambda: (Text(nn.GRU), torch.arange(8).view(2, 4)),
    "attention": lambda: (nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True), torch.rand(2, 3, 8)),
    "transposed": lambda: (
        nn.Sequential(nn.Conv2d(1, 6, 3), nn.GroupNorm(3, 6), nn.ConvTranspose2d(6, 4, 2), nn.PReLU(4), nn.Conv2d(4, 2, 1)),
        IMAGES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("initialize", [None, sparse_fan_in_, kaiming_normal_], ids=["own", "sparse", "kaiming"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_draw_is_that_of_the_small_network(name, initialize):
    if name != "lstm" or initialize is None:
        assert check(*NETWORKS[name](), initialize), "the removal of nothing is refused"


def test_the_draw_is_that_of_the_small_network_for_random_networks():
    checked = 0
    for seed in range(30):
        network = random_network(seed)
        try:
            checked += check(network, torch.randn(2, 3, 6, 6), seed=seed)
        except RuntimeError:  # the grammar made a network without channels
            continue
    assert checked >= 20


def test_the_spread_follows_the_inputs_that_live():
    network = nn.Sequential(nn.Linear(1000, 1600), nn.ReLU(), nn.Linear(1600, 600), nn.ReLU(), nn.Linear(600, 2))
    found = structures_of(network, torch.rand(1, 1000))
    alive = {"0": torch.arange(1600) % 4 == 0}
    for left, inputs in ((LivingNetwork(found.groups, alive, found.costs), 400), (None, 1600)):
        fresh_weights_(network, 1, None, left)
        drawn = network[2].weight.detach()[:, alive["0"]]
        assert float(drawn.std()) == pytest.approx(1 / math.sqrt(3 * inputs), rel=0.02)
        assert float(drawn.abs().max()) <= 1 / math.sqrt(inputs)


def pruning(**options):
    defaults = {"cycles": 2, "sparsity": Levels([0.3, 0.5]), "granularity": Structures()}
    return IterativePruning(**{**defaults, **options})


class Alive(Callback):
    """Notes what lives in every cycle."""

    def __init__(self):
        self.seen = []

    def on_cycle_start(self, trainer, pl_module, cycle):
        self.seen.append(next(c for c in trainer.callbacks if isinstance(c, IterativePruning)).living_network)


def run(callback, module=None, **options):
    watch, alive = Watch(), Alive()
    trainer = fit([pruning(**options.pop("pruning", {})), callback, watch, alive], module or structured(), **options)
    return trainer, watch, alive


def small_twin(left):
    """A network that is made anew and shrunk to what lives."""
    module = Structured()
    return shrink(module, example=torch.rand(4, 1, 6, 6), alive=left.alive).module


def test_heads_that_can_only_be_masked_are_drawn_as_if_they_were_removed():
    network = nn.TransformerEncoderLayer(64, 4, 8, 0.0, batch_first=True)
    found = structures_of(network, torch.rand(2, 3, 64))
    (heads,) = (name for name, group in found.groups.items() if not group.removable)
    left = LivingNetwork(found.groups, {heads: torch.tensor([1, 0, 0, 0])}, found.costs)
    fresh_weights_(network, 1, None, left)
    drawn = network.self_attn.in_proj_weight.detach().view(3, 4, 16, 64)
    assert not drawn[:, 1:].any()
    assert float(drawn[:, 0].std()) == pytest.approx(math.sqrt(2 / (3 * 16 + 64)), rel=0.05), "of Glorot's uniform draw"
    assert not network.self_attn.out_proj.weight[:, 16:].any()


@pytest.mark.parametrize("make", [Reinitialize, ScratchTrain])
def test_every_cycle_starts_at_the_draw_of_the_small_network(make):
    shapes = []

    def initialize(module):
        shapes.append(tuple(module.net.body[1].second.weight.shape))
        nn.init.constant_(module.net.head[1].bias, 2.0)

    _, watch, alive = run(make(seed=7, initialize=initialize), max_epochs=2)
    assert len(alive.seen) == 2
    for index, (begun, left) in enumerate(zip(watch.at_start, alive.seen, strict=True), start=1):
        twin = small_twin(left)
        fresh_weights_(twin, seed_of(7, index), initialize)
        for name, drawn in twin.named_parameters():
            assert torch.equal(begun[name][begun[name] != 0], drawn[drawn != 0]), (index, name)
        assert not begun["net.stem.1.running_mean"].any()
        assert begun["net.stem.1.running_var"].unique().tolist() == [1.0]
        assert shapes[-1] == tuple(twin.net.body[1].second.weight.shape)
    assert shapes[1] != shapes[-1]
    assert watch.checked


def test_a_cycle_lasts_for_the_operations_of_the_dense_run_in_the_small_network():
    trainer, watch, alive = run(ScratchTrain("equal-flops"), max_epochs=5, pruning={"sparsity": Levels([0.5, 0.8])})
    image = torch.rand(1, 1, 6, 6)
    whole = Structured().eval()
    dense = count_flops(whole, lambda: whole(image)).total
    lengths = []
    for left in alive.seen:
        twin = small_twin(left).eval()
        lengths.append(int(5 * dense / count_flops(twin, lambda twin=twin: twin(image)).total))
    assert 5 < lengths[0] < lengths[1]
    assert [cycle.steps for cycle in watch.cycles] == [length * STEPS for length in lengths]
    assert trainer.current_epoch == 5 + sum(lengths)


def test_the_operations_count_where_no_training_step_can_be_tried():
    """The table of costs is of the example, so that optimizing by hand is no obstacle."""
    module = structured(example=True)
    module.automatic_optimization = False

    def step(batch, batch_idx):
        loss = nn.functional.cross_entropy(module(batch[0]), batch[1])
        module.optimizers().zero_grad()
        module.manual_backward(loss)
        module.optimizers().step()

    module.training_step = step
    watch = run(ScratchTrain("equal-flops"), module, max_epochs=2, pruning={"cycles": 1, "sparsity": OneShot(0.5)})[1]
    assert watch.cycles[0].steps > 2 * STEPS


def resumable(folder, ckpt_path=None):
    keep = ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks = [pruning(), ScratchTrain("equal-flops", seed=3), keep]
    return fit(callbacks, structured(), Images(shuffle=True), ckpt_path, enable_checkpointing=True, max_epochs=2)


def test_stopped_at_any_epoch_end_it_ends_the_same(tmp_path):
    last = resumable(tmp_path / "whole").current_epoch - 1
    assert last > 5
    for epoch in range(last):
        resumable(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, last + 1)) == last - epoch


class Ends(Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        torch.save([trainer.global_step, dict(pl_module.state_dict())], self.folder / f"{trainer.global_rank}.pt")


def without_norms():
    """A network that computes the same on every process: it has no statistics of its own."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 3))
    return Structured(network)


def test_two_processes_draw_the_same(tmp_path):
    callbacks = [pruning(cycles=1, sparsity=OneShot(0.5)), ScratchTrain("equal-flops"), Ends(tmp_path)]
    fit(callbacks, without_norms(), Images(batch=4), devices=2, strategy="ddp_fork", max_epochs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert equal(one, other)
    assert (one[1]["net.2.weight"] == 0).any()


def test_frozen_weights_stay():
    module = structured()
    module.net.head[1].weight.requires_grad_(False)
    before = module.net.head[1].weight.detach().clone()
    _, watch, _ = run(Reinitialize(), module, max_epochs=2, pruning={"cycles": 1, "sparsity": OneShot(0.4)})
    after = watch.at_start[0]["net.head.1.weight"]
    assert torch.equal(after[after != 0], before[after != 0])
    assert 0 < int((after == 0).sum()) < after.numel()


class Literal(nn.Linear):
    def reset_parameters(self):
        with torch.no_grad():
            self.weight.copy_(torch.ones(6, 4))
            self.bias.zero_()


def test_what_cannot_draw_fewer_units_is_refused_before_training_and_nothing_has_changed():
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), Literal(4, 6), nn.ReLU(), nn.Linear(6, 3))
    module = Structured(network)
    before = {name: one.clone() for name, one in module.state_dict().items()}
    for callback, name in ((Reinitialize(), "Reinitialize"), (ScratchTrain(), "ScratchTrain")):
        with pytest.raises(
            ValueError, match=rf"^{name} draws the weights of Structured without its dead units, .*fails"
        ):
            fit([pruning(), callback], module)
        assert equal(dict(module.state_dict()), before)
    assert tuple(network[1].weight.shape) == (4, 36)
    assert (network[1].out_features, network[3].in_features) == (4, 4)


def test_a_parameter_that_nothing_draws_is_named_as_before():
    network = nn.Sequential(nn.Linear(3, 4), Own())
    network[1].layer = nn.Linear(4, 2)
    found = LivingNetwork({}, {}, structures_of(nn.Linear(2, 2), torch.rand(1, 2)).costs)
    with pytest.raises(ValueError, match=r"Reinitialize cannot draw 1\.scale anew"):
        refuse_without_fresh_weights(network, "Reinitialize", None, found)


def test_single_weights_and_filters_are_drawn_in_the_whole_network():
    assert pruning(granularity=Structures()).granularity.needs_groups
    for options in ({}, {"measure": "flops"}):
        callback = IterativePruning(cycles=1, sparsity=OneShot(0.5), **options)
        fit([callback, Reinitialize()], structured(), max_epochs=1)
        assert callback.living_network is None
