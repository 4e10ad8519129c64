"""Fits whose network cannot become smaller while it is trained are refused, and what changes a run is said."""

import re
import warnings

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from processes import in_processes
from shrinking_runs import clock, distance, sizes, trained
from structured import Structured, structured
from torch import nn, optim
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from toys import Images, fit, make_trainer, toy

from lightning_prune import IterativePruning, Linear, OneShot, Shrink, Structures, layerwise, shrink
from lightning_prune.callbacks.resizing.wrapped import is_compiled
from lightning_prune.criteria import snip

pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")


def run(module, *callbacks, **options):
    fit([clock(), *callbacks, Shrink(at="cycles")], module, Images(), **{"max_epochs": 2, **options})


def test_an_unknown_moment():
    with pytest.raises(ValueError, match=r"Shrink\(at='start'\) is unknown: give 'end' or 'cycles'"):
        Shrink(at="start")


def test_a_fit_without_cycles():
    with pytest.raises(ValueError, match=r"needs cycles, and there is no IterativePruning.*Give Shrink\(at='end'\)"):
        fit([Shrink(at="cycles")], structured(), Images(), max_epochs=1)


def test_lbfgs():
    module = structured(optimizer=lambda p: optim.LBFGS(p, lr=0.1, max_iter=2))
    with pytest.raises(ValueError, match=r"cannot go on with LBFGS, which keeps one state.*Give Shrink\(at='end'\)"):
        run(module)


def test_processes_from_which_only_weights_come_back():
    trainer = make_trainer([clock(), Shrink(at="cycles")], strategy="ddp_spawn", devices=2)
    with pytest.raises(ValueError, match=r"Shrink\(at='cycles'\) works in the processes of Trainer\(strategy='ddp'\)"):
        trainer.callbacks[1].setup(trainer, structured(), "fit")


def fully_sharded(module, mesh):
    fully_shard(module.net, mesh=mesh)


def tensor_parallel(module, mesh):
    parallelize_module(module.net, mesh, {"4": ColwiseParallel()})


def refuse_parts():
    """Weights as ``ModelParallelStrategy`` splits them, with FSDP2 and with tensor parallelism."""
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    for split in (fully_sharded, tensor_parallel):
        module = toy()
        split(module, init_device_mesh("cpu", (1,)))
        for shrink_callback, said in (
            (Shrink(), r"Shrink\(\) cannot remove parts of weights that SingleDevice.*over several devices. Leave it"),
            (
                Shrink(at="cycles"),
                r"Shrink\(at='cycles'\) cannot .* and at='end' cannot either. Leave it out, save one",
            ),
        ):
            trainer = make_trainer([clock(), shrink_callback])
            with pytest.raises(ValueError, match=said):
                shrink_callback.on_train_start(trainer, module)
        with pytest.raises(
            ValueError, match=r"cannot remove parts of net\.\d.weight, which is split over several devices"
        ):
            shrink(module, example=torch.zeros(2, 1, 6, 6))
    module = structured(optimizer=lambda p: ZeroRedundancyOptimizer(p, optim.SGD, lr=0.1))
    with pytest.raises(ValueError, match=r"cannot go on with ZeroRedundancyOptimizer.*Give Shrink\(at='end'\)"):
        run(module)


def test_weights_in_parts_are_refused_with_what_to_do():
    in_processes(1, refuse_parts)


def test_two_parameters_in_one_memory():
    module = structured()
    module.net.body[0].norm2.bias = nn.Parameter(module.net.body[0].norm1.bias.data)
    with pytest.raises(ValueError, match=r"norm2.bias and net.body.0.norm1.bias, which are two parameters in one mem"):
        run(module)


class KeepsLosses(Structured):
    def __init__(self, first):
        super().__init__()
        self.first, self.losses = first, []

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        self.losses += [loss] if self.current_epoch >= self.first else []
        return loss


@pytest.mark.parametrize("first", [0, 2], ids=["of the dense run", "of a cycle"])
def test_a_live_graph(first):
    torch.manual_seed(0)
    said = r"cannot change the size of net\.\S+: something keeps the graph of an earlier loss alive.*loss.detach\(\)"
    with pytest.raises(ValueError, match=said):  # before the criterion runs the network in its whole sizes
        fit([clock(criterion=snip), Shrink(at="cycles")], KeepsLosses(first), Images(), max_epochs=2)


class InACircle(Structured):
    """Its losses are in a reference cycle: dead, and not yet collected."""

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        circle = [loss]
        circle.append(circle)
        return loss


def test_a_dead_graph_is_collected():
    torch.manual_seed(0)
    module = InACircle()
    run(module)
    assert sizes(module) < 3457


@pytest.mark.parametrize(("at", "told"), [("cycles", 1), ("end", 0)])
def test_an_optimizer_that_mixes_weights_is_told_once(at, told):
    module = structured(optimizer=lambda p: optim.Adafactor(p, lr=0.01))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit([clock(), Shrink(at=at)], module, Images(), max_epochs=2)
    said = [str(one.message) for one in caught if "changes this run" in str(one.message)]
    assert len(said) == told
    assert all(re.match(r"Shrink\(at='cycles'\) changes this run: Adafactor may mix", one) for one in said)
    assert sizes(module) < 3457


def test_elementwise_optimizers_are_not_told():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*changes this run.*")
        trained(True)


class Literal(nn.Module):
    """A network with a size in its forward, which stands against removing the channels of its convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(1, 6, 3), nn.Linear(96, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.last(self.second(self.first(x).reshape(len(x), 96)).relu())


def test_what_cannot_be_removed_stays_masked_in_every_cycle_and_is_told_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small, _, shrink = trained(True, network=Literal, pruning={"allocation": layerwise})
    masked, _, _ = trained(False, network=Literal, pruning={"allocation": layerwise})
    said = [one for one in caught if "keeps groups masked" in str(one.message)]
    assert len(said) == 1
    assert small.net.first.out_channels == 6
    assert small.net.second.out_features < 12
    assert distance(small, shrink, masked) < 1e-12
    dead = small.net.first.weight.flatten(1).abs().sum(1) == 0
    assert dead.any()
    assert not small.net.first.bias[dead].any()


@pytest.mark.parametrize(("cycles", "most"), [(2, 3), pytest.param(10, 11, marks=pytest.mark.slow)])
def test_compiled_code_is_compiled_once_more_in_each_cycle(cycles, most, caplog):
    """That is said once. It may be more often than torch compiles a function before it gives up, which is eight times."""
    calls = []

    def backend(graph, inputs):
        calls.append(len(inputs))
        return graph.forward

    module = structured()
    module.net = torch.compile(module.net, backend=backend)
    assert is_compiled(module)
    sparsity = Linear(0.6, cycles=cycles)
    pruning = IterativePruning(cycles=cycles, retrain="1ep", granularity=Structures(), sparsity=sparsity)
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        fit([pruning, Shrink(at="cycles")], module, Images(), max_epochs=1, limit_val_batches=0)
    assert sizes(module) < 3457
    assert cycles <= len(calls) <= most
    assert caplog.text.count("torch.compile compiles it again, once in every such cycle") == 1


def test_an_error_while_a_cycle_begins_leaves_a_whole_network_that_is_resumed(tmp_path):
    class Fails(Callback):
        wanted = 2

        def on_cycle_start(self, trainer, pl_module, cycle):
            if cycle.index == self.wanted:
                raise RuntimeError("power is gone")

    module, keep = structured(), ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    with pytest.raises(RuntimeError, match="power is gone"):
        run(module, Fails(), keep)
    assert sizes(module) == 3457
    whole, resumed = structured(), structured()
    run(whole, Fails.__base__())
    run(resumed, Fails.__base__(), ckpt_path=tmp_path / "epoch=2.ckpt")
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_first_cycle_may_be_the_only_one():
    module = structured()
    pruning = IterativePruning(cycles=1, retrain="1ep", sparsity=OneShot(0.5), granularity=Structures())
    shrink = Shrink(at="cycles")
    fit([shrink, pruning], module, Images(), max_epochs=1)
    assert shrink.shrunk.parameters == (3457, sizes(module))
