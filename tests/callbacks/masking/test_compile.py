"""torch.compile in each of its forms: what is pruned has its plain names, and no cycle compiles anything anew."""

import json
import shutil

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from toys import STEPS, Images, Toy, equal, fit, seed_everything

from lightning_prune import IterativePruning, LRRewind, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),  # torch, tracing self.log
]

PRUNED = ["net.0.weight", "net.4.weight", "net.7.weight"]
SIZE = 36 + 640 + 30


@pytest.fixture(autouse=True)
def compiled_afresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Silent(Toy):
    """Logs nothing: torch takes seconds to trace that."""

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


class Graphs(Callback):
    """A backend that compiles nothing and counts what it is given, at the end of every epoch."""

    def __init__(self):
        self.count, self.at_epoch_end = 0, []

    def __call__(self, graph, inputs):
        self.count += 1
        return graph.forward

    def on_train_epoch_end(self, trainer, pl_module):
        self.at_epoch_end.append(self.count)


def compile_module(module, backend):
    return torch.compile(module, backend=backend)


def compile_network(module, backend):
    module.net = torch.compile(module.net, backend=backend)
    return module


def compile_module_in_place(module, backend):
    module.compile(backend=backend)
    return module


def compile_network_in_place(module, backend):
    module.net.compile(backend=backend)
    return module


def not_at_all(module, backend):
    return module


WAYS = [compile_module, compile_network, compile_module_in_place, compile_network_in_place]
every_way = pytest.mark.parametrize("way", WAYS)
POLICIES = {"kept": lambda: [LRRewind()], "rewound": lambda: [WeightRewind("2ep")]}


def run(way, folder, beside=POLICIES["rewound"], ckpt_path=None, graphs=None, dropout=0.1, **options):
    graphs = Graphs() if graphs is None else graphs
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    callbacks = [IterativePruning(cycles=2, retrain="1ep"), *beside(), keep]
    callbacks += [graphs] if isinstance(graphs, Graphs) else []
    options = {"max_epochs": 3, "enable_checkpointing": True, "limit_val_batches": 0, **options}
    return fit(callbacks, way(silent(dropout=dropout), graphs), Images(shuffle=True), ckpt_path, **options), graphs


def silent(**options):
    seed_everything(0, verbose=False)
    return Silent(**options)


def alive(module):
    """How many weights are alive, under any names."""
    return sum(int(weight.count_nonzero()) for weight in module.parameters() if weight.dim() > 1)


@pytest.mark.parametrize("beside", POLICIES.values(), ids=POLICIES)
@every_way
def test_no_prune_no_rewind_and_no_cycle_compiles_anything(way, beside, tmp_path):
    trainer, graphs = run(way, tmp_path, beside)
    assert graphs.at_epoch_end[1] > 0
    assert graphs.at_epoch_end[2:] == [graphs.at_epoch_end[1]] * 3
    assert trainer.global_step == 5 * STEPS
    assert alive(trainer.lightning_module) == round(0.64 * SIZE)


def test_a_change_of_the_network_would_be_counted(tmp_path):
    class Changes(Callback):
        def on_cycle_start(self, trainer, pl_module, cycle):
            pl_module.net[6].p = 0.2

    _, graphs = run(compile_network_in_place, tmp_path, lambda: [LRRewind(), Changes()])
    assert graphs.at_epoch_end[-1] > graphs.at_epoch_end[2]


@pytest.mark.slow
@every_way
def test_a_compiled_network_becomes_the_one_that_is_not_compiled(way, tmp_path):
    plain, _ = run(not_at_all, tmp_path / "plain", dropout=0.0)
    compiled, _ = run(way, tmp_path / "compiled", dropout=0.0)
    pairs = zip(plain.lightning_module.parameters(), compiled.lightning_module.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@every_way
def test_masks_and_the_record_have_plain_names(way, tmp_path):
    run(way, tmp_path, logger=CSVLogger(tmp_path, name="", version=""))
    saved = torch.load(tmp_path / "epoch=4.ckpt", weights_only=True)["callbacks"]
    (state,) = [state for key, state in saved.items() if key.startswith("IterativePruning")]
    assert sorted(state["masks"]) == PRUNED
    (state,) = [state for key, state in saved.items() if key.startswith("WeightRewind")]
    assert state["snapshot"].keys() == silent().state_dict().keys()
    assert [one["name"] for one in json.loads((tmp_path / "pruning.json").read_text())["pruned"]] == PRUNED


@every_way
def test_a_resumed_compiled_run_is_the_same_run(way, tmp_path):
    whole, _ = run(way, tmp_path / "whole")
    again, _ = run(way, tmp_path / "again", ckpt_path=tmp_path / "whole" / "epoch=3.ckpt")
    assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())
    for ours, theirs in zip(again.optimizers, whole.optimizers, strict=True):
        assert equal(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize(
    "way", [way for way in WAYS if way is not compile_network]
)  # its names are others in Lightning
def test_a_compiled_run_goes_on_without_compiling_and_the_other_way_round(way, tmp_path):
    whole, _ = run(way, tmp_path / "compiled", dropout=0.0)
    run(not_at_all, tmp_path / "plain", dropout=0.0)
    file = "epoch=3.ckpt"
    plain, graphs = run(not_at_all, tmp_path / "1", ckpt_path=tmp_path / "compiled" / file, dropout=0.0)
    assert graphs.count == 0
    compiled, graphs = run(way, tmp_path / "2", ckpt_path=tmp_path / "plain" / file, dropout=0.0)
    assert graphs.count > 0
    for again in (plain, compiled):
        assert equal(again.lightning_module.state_dict(), whole.lightning_module.state_dict())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the inductor needs a C++ compiler")
def test_a_network_compiled_by_the_inductor_keeps_its_promises(tmp_path):
    from torch._dynamo.utils import counters

    counters.clear()
    graphs = []

    class Counts(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            graphs.append(counters["stats"]["unique_graphs"])

    trainer, _ = run(compile_network, tmp_path, lambda: [WeightRewind("2ep"), Counts()], graphs="inductor")
    assert graphs[1] > 0
    assert graphs[2:] == [graphs[1]] * 3
    assert alive(trainer.lightning_module) == round(0.64 * SIZE)


@pytest.mark.slow
def test_a_compiled_optimizer_keeps_dead_weights_dead(tmp_path):
    class Compiled(Callback):
        """Lightning calls forward, backward and every hook from within the step, which is traced with all of them."""

        def on_fit_start(self, trainer, pl_module):
            optimizer = trainer.optimizers[0]
            optimizer.step = torch.compile(optimizer.step, backend=graphs)

    graphs = Graphs()
    trainer, _ = run(not_at_all, tmp_path, lambda: [LRRewind(), Compiled()], graphs=graphs)
    assert graphs.count > 0
    assert trainer.global_step == 5 * STEPS
    assert alive(trainer.lightning_module) == round(0.64 * SIZE)
