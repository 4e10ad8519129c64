"""Several processes: the same masks everywhere, the same network as one process with the joint batch, results in files."""

import json

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from toys import Images, fit, make_trainer, toy

from lightning_prune import IterativePruning, LRRewind, magnitude, random
from lightning_prune.callbacks.processes import digest, refuse_strategy

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Using `DistributedSampler` with the dataloaders", "ignore:It is recommended to use `self.log"
)


class Masks(Callback):
    """Writes what each process holds at the start of every cycle."""

    def __init__(self, folder):
        self.folder = folder

    def on_cycle_start(self, trainer, pl_module, cycle):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        content = {
            "masks": digest(pruning._run.pruner.masks.pack()),
            "alive": pruning._run.pruner.masks.living,
            "steps": cycle.steps,
        }
        (self.folder / f"cycle {cycle.index} rank {trainer.global_rank}.json").write_text(json.dumps(content))


def run(
    folder, processes, criterion=magnitude, beside=LRRewind, strategy="ddp_spawn", cycles=2, ckpt_path=None, **options
):
    folder.mkdir(exist_ok=True)
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    pruning = IterativePruning(cycles=cycles, retrain="2ep", criterion=criterion)
    fit(
        [pruning, beside(), Masks(folder), keep], toy(plain=True), Images(batch=16 // processes), ckpt_path,
        devices=processes, strategy=strategy if processes > 1 else "auto", enable_checkpointing=True,
        logger=CSVLogger(folder, name="", version="log"), log_every_n_steps=1, **options,
    )  # fmt: skip
    return torch.load(folder / "epoch=7.ckpt", weights_only=True)


def held(folder, cycle):
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"cycle {cycle} rank *.json"))]


@pytest.mark.parametrize("strategy", [pytest.param("ddp_spawn", marks=pytest.mark.slow), "ddp_fork"])
@pytest.mark.parametrize("criterion", [magnitude, random])
def test_two_processes_hold_the_same_masks_and_train_the_network_of_one(strategy, criterion, tmp_path):
    one = run(tmp_path / "one", 1, criterion)
    two = run(tmp_path / "two", 2, criterion, strategy=strategy)
    for cycle in (1, 2):
        first, second = held(tmp_path / "two", cycle)
        assert first == second
    assert held(tmp_path / "two", 1)[0] == held(tmp_path / "one", 1)[0]
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for name, tensor in one["state_dict"].items():
        assert torch.allclose(tensor, two["state_dict"][name], atol=1e-5), name
    written = json.loads((tmp_path / "two" / "log" / "pruning.json").read_text())
    assert written["finished"]
    assert [cycle["alive"] for cycle in written["cycles"]] == [held(tmp_path / "two", c)[0]["alive"] for c in (1, 2)]


def deepspeed():
    """DeepSpeed's strategy, without DeepSpeed."""
    return object.__new__(DeepSpeedStrategy)


@pytest.mark.parametrize(("kind", "name"), [(FSDPStrategy, "FSDPStrategy"), (deepspeed, "DeepSpeedStrategy")])
def test_strategies_that_hide_the_weights_are_refused_by_name(kind, name):
    trainer = make_trainer([IterativePruning(retrain="1ep")])
    trainer._accelerator_connector.strategy = kind()
    with pytest.raises(ValueError, match=f"IterativePruning cannot prune under {name}: .*; use DDP"):
        refuse_strategy(trainer.strategy)


@pytest.mark.slow
def test_processes_with_different_masks_are_stopped_by_the_tensors_name(tmp_path):
    with pytest.raises(Exception, match="(?s)The processes hold different masks for net.1.weight"):
        run(tmp_path, 2, beside=Corrupts)


class Corrupts(Callback):
    """Changes a mask on the second process, after it was agreed upon."""

    def on_cycle_start(self, trainer, pl_module, cycle):
        if trainer.global_rank == 1 and cycle.index == 1:
            pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
            pruning._run.pruner.masks["net.1.weight"].fill_(1)
            pruning._run.pruner.prune_ = lambda *_: None
            pruning._run.pruner.masks.unpack_ = lambda _: None
