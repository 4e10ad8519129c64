"""Several processes: the same masks everywhere, the same network as one process with the joint batch, results in files."""

import json

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from runs_on_processes import held, run
from toys import make_trainer

from lightning_prune import IterativePruning, magnitude, random
from lightning_prune.callbacks.masking.processes import refuse_strategy

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Using `DistributedSampler` with the dataloaders", "ignore:It is recommended to use `self.log"
)


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
