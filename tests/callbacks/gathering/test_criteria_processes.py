"""Criteria that look at data or the network: on two processes, sharded, compiled, and from YAML."""

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from processes import in_processes
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from toys import Images, equal, fit, seed_everything, toy

from lightning_prune import IterativePruning, Levels, criteria
from lightning_prune.callbacks.gathering.gatherer import Gatherer
from lightning_prune.callbacks.gathering.loss_gradients import refuse
from lightning_prune.callbacks.gathering.synaptic_flow import refuse as refuse_flow
from lightning_prune.criteria import OnBatches, SynFlow
from lightning_prune.lab.cli.command_line import CommandLine

ALL = {
    "gradient": criteria.gradient,
    "taylor": OnBatches(criteria.taylor, 2),
    "snip": criteria.snip,
    "grasp": criteria.grasp,
    "wanda": OnBatches(criteria.wanda, 2),
    "synflow": SynFlow(rounds=3),
    "movement": criteria.movement,
    "last_epoch_change": criteria.last_epoch_change,
    "magnitude_increase": criteria.magnitude_increase,
}


class Evidence(Callback):
    """Gathers once after an epoch, and writes it down for each process."""

    def __init__(self, folder, criterion):
        self.folder, self.criterion = folder, criterion

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            weights = {n: p for n, p in pl_module.named_parameters() if p.dim() > 1}
            gatherer = Gatherer(weights, self.criterion, 0)
            gatherer.gather(trainer, dict.fromkeys(weights), 1, 100, False)
            torch.save(gatherer._found, self.folder / f"rank {trainer.global_rank}.pt")


def gather(folder, processes, criterion):
    folder.mkdir(exist_ok=True)
    options = {"devices": processes, "strategy": "ddp_fork"} if processes > 1 else {}
    fit([Evidence(folder, criterion)], toy(plain=True), Images(batch=16 // processes), max_epochs=2, **options)
    return [torch.load(folder / f"rank {rank}.pt") for rank in range(processes)]


@pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler`", "ignore:It is recommended to use `self.log")
@pytest.mark.parametrize("name", ["taylor", "grasp", "snip", "wanda"])
def test_two_processes_find_what_one_finds_on_the_joint_batch(name, tmp_path):
    (one,) = gather(tmp_path / "one", 1, ALL[name])
    first, second = gather(tmp_path / "two", 2, ALL[name])
    assert equal(first, second), "the same on both, bit for bit"
    for kind, tensors in one.items():
        for weight, tensor in tensors.items():
            assert torch.allclose(first[kind][weight], tensor, rtol=1e-3, atol=1e-6), (kind, weight)


class Masks(Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        torch.save(pruning.masks, self.folder / f"rank {trainer.global_rank}.pt")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Using `DistributedSampler`", "ignore:It is recommended to use `self.log")
@pytest.mark.parametrize("name", ALL)
def test_two_processes_hold_the_same_masks_through_a_run(name, tmp_path):
    pruning = IterativePruning(cycles=2, retrain="1ep", criterion=ALL[name], sparsity=Levels([0.5, 0.8]))
    options = {"devices": 2, "strategy": "ddp_fork", "max_epochs": 2}
    fit([pruning, Masks(tmp_path)], toy(plain=True), Images(), **options)
    one, two = (torch.load(tmp_path / f"rank {rank}.pt") for rank in range(2))
    assert equal(one, two)
    assert sum(int(mask.sum()) for mask in one.values()) == round(0.2 * (36 * 16 + 16 * 3))


def sharded():
    torch.distributed.init_process_group("gloo")
    net = torch.nn.Linear(4, 4)
    fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(
        ValueError, match="criterion=snip.* cannot take gradients: weights are sharded, .*train with DDP"
    ):
        refuse(toy(), {"weight": net.weight}, "snip")
    with pytest.raises(ValueError, match="SynFlow needs whole weights, and these are sharded: train with DDP"):
        refuse_flow({"weight": net.weight})
    torch.distributed.destroy_process_group()


def test_sharded_weights_are_refused_with_what_to_do():
    in_processes(1, sharded)


@pytest.mark.parametrize("name", ["grasp", "synflow", "snip"])
def test_a_compiled_module_is_asked_as_it_was_written(name):
    """Compiled code cannot be differentiated twice, and would be compiled once more for each look at it."""
    masks = []
    for compiled in (False, True):
        module = toy(plain=True)
        if compiled:
            module.net = torch.compile(module.net, backend="aot_eager")
        pruning = IterativePruning(cycles=1, retrain="1ep", criterion=ALL[name], sparsity=Levels([0.5]))
        fit([pruning], module, max_epochs=1)
        masks.append(pruning.masks)
    same = sum(int((masks[0][n] == masks[1][n]).sum()) for n in masks[0])
    assert same >= sum(m.numel() for m in masks[0].values()) - 4, "but for rounding in the compiled training"


WRITTEN = {
    "a function": ("lightning_prune.criteria.taylor", criteria.taylor),
    "a value": (
        {"class_path": "lightning_prune.criteria.SynFlow", "init_args": {"rounds": 7}},
        SynFlow(rounds=7),
    ),
    "a value around a function": (
        {
            "class_path": "lightning_prune.criteria.OnBatches",
            "init_args": {"criterion": "lightning_prune.criteria.taylor", "batches": 32},
        },
        OnBatches(criteria.taylor, 32),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "made"), WRITTEN.values(), ids=WRITTEN)
def test_a_criterion_comes_from_yaml_and_its_dump_parses_back(written, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "trainer": {
            "max_epochs": 1,
            "callbacks": [{"class_path": "lightning_prune.IterativePruning", "init_args": {"criterion": written}}],
        },
        "model": {"class_path": "toys.Toy"},
        "data": {"class_path": "toys.Images"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = CommandLine(["--config=config.yaml"], run=False)
    pruning = next(c for c in command.trainer.callbacks if isinstance(c, IterativePruning))
    assert pruning.criterion == made
    dump = command.parser.dump(command.config)
    assert command.parser.dump(command.parser.parse_string(dump)) == dump
    seed_everything(0, verbose=False)
