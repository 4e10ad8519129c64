"""Weights in parts (FSDP2 and tensor parallelism): pruned, held, rewound and saved as whole ones are."""

import itertools
import os

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from members import ALLOCATIONS, CRITERIA
from processes import in_processes
from runs_on_processes import Masks, held
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from toys import Images, Toy, equal, make_trainer

from lightning_prune import IterativePruning, LRRewind, OneCycleRetrain, WeightRewind
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.criteria import needs_of
from lightning_prune.selection.sharding import whole

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch says of its own sharding
BESIDE = {
    "rewind both": lambda: [WeightRewind("1ep")],
    "one cycle": lambda: [OneCycleRetrain(max_lr=0.05)],
    "rewind the rate": lambda: [LRRewind()],
}


class Sharded(Toy):
    """A toy whose layers lie in parts on the processes, once there are several."""

    def configure_model(self):
        mesh = self.device_mesh
        if mesh is None or hasattr(self, "sharded"):
            return
        if mesh["tensor_parallel"].size() > 1:
            parallelize_module(self.net, mesh["tensor_parallel"], {"1": ColwiseParallel(output_layouts=Replicate())})
        for layer in (self.net[1], self):  # what is of the outermost only stays whole from one pass to the next
            fully_shard(layer, mesh=mesh["data_parallel"])
        self.sharded = True


class InParts(Images):
    """The images of this process's replica of the network, in order."""

    def train_dataloader(self):
        mesh = self.trainer.lightning_module.device_mesh
        replicas, rank = (
            (1, 0) if mesh is None else (mesh["data_parallel"].size(), mesh["data_parallel"].get_local_rank())
        )
        sampler = DistributedSampler(self.set, replicas, rank, shuffle=False)
        return DataLoader(self.set, batch_size=24 // replicas, sampler=sampler)


class StaysDead(Callback):
    """Looks at the weights after every step, and at what validation sees."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        self._look(trainer, pl_module)

    def on_validation_batch_end(self, trainer, pl_module, *_):
        self._look(trainer, pl_module)

    def _look(self, trainer, pl_module):
        pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
        zeros = sum(int((whole(pl_module.get_parameter(f"net.{i}.weight")) == 0).sum()) for i in (1, 3))
        assert zeros == (round(624 * pruning.measured_sparsity) if pruning.cycle else 0)


def train(folder, beside, strategy=None, ckpt_path=None, keep=()):
    folder.mkdir(exist_ok=True)
    seed_everything(0, verbose=False)
    module = Sharded(plain=True)
    length = None if BESIDE[beside]()[0].rewind_point is not None else "2ep"
    pruning = IterativePruning(cycles=2, retrain=length)
    devices = int(os.environ.get("WORLD_SIZE", 1))
    trainer = make_trainer(
        [pruning, *BESIDE[beside](), StaysDead(), Masks(folder), *keep], strategy=strategy or "auto", devices=devices,
        enable_checkpointing=bool(keep), max_epochs=3, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=InParts(), ckpt_path=ckpt_path)
    if not keep:  # saving on the way would gather what lies in parts
        trainer.save_checkpoint(folder / "last.ckpt")


def parallel(data=2, tensor=1, distributed=False):
    return ModelParallelStrategy(
        data_parallel_size=data, tensor_parallel_size=tensor, save_distributed_checkpoint=distributed
    )


def train_in_parts(folder, beside, *sizes):
    train(folder, beside, parallel(*sizes))


@pytest.mark.parametrize(
    ("beside", "sizes"),
    [
        ("rewind both", (2, 1)),
        pytest.param("one cycle", (2, 1), marks=pytest.mark.slow),
        pytest.param("rewind the rate", (3, 1), marks=pytest.mark.slow),
        pytest.param("rewind both", (1, 2), marks=pytest.mark.slow),
        pytest.param("rewind both", (2, 2), marks=pytest.mark.slow),
    ],
)
def test_a_network_in_parts_is_pruned_as_a_whole_one(beside, sizes, tmp_path):
    train(tmp_path / "whole", beside)
    in_processes(sizes[0] * sizes[1], train_in_parts, tmp_path / "parts", beside, *sizes)
    for cycle in (1, 2):
        ranks = held(tmp_path / "parts", cycle)
        assert len(ranks) == sizes[0] * sizes[1]
        assert all(rank == ranks[0] for rank in ranks)
    assert held(tmp_path / "parts", 1)[0] == held(tmp_path / "whole", 1)[0]
    one, parts = (torch.load(tmp_path / kind / "last.ckpt", weights_only=True) for kind in ("whole", "parts"))
    Toy(plain=True).load_state_dict(parts["state_dict"], strict=True)
    assert sum(int((parts["state_dict"][f"net.{i}.weight"] == 0).sum()) for i in (1, 3)) == 624 - round(0.64 * 624)
    for name, tensor in one["state_dict"].items():
        assert torch.allclose(tensor, parts["state_dict"][name], atol=1e-5), name


@pytest.mark.parametrize("distributed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_network_in_parts_resumes_bit_for_bit(distributed, tmp_path):
    def run(folder, ckpt_path=None):
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        train(folder, "rewind both", parallel(2, distributed=distributed), ckpt_path, [keep])

    in_processes(2, run, tmp_path / "whole")
    epochs = len(list((tmp_path / "whole").glob("*.ckpt")))
    for epoch in (1, 3, 4) if not distributed else range(epochs - 1):
        folder = tmp_path / f"from {epoch}"
        in_processes(2, run, folder, tmp_path / "whole" / f"epoch={epoch}.ckpt")
        one, other = (content(where / f"epoch={epochs - 1}.ckpt") for where in (tmp_path / "whole", folder))
        assert equal(one, other), epoch


def content(path):
    """What a checkpoint holds of the network and its optimizer, in one file or in a folder."""
    if path.is_file():
        saved = torch.load(path, weights_only=True)
        return {name: saved[name] for name in ("state_dict", "optimizer_states", "global_step")}
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(path, path.with_suffix(".whole"))
    return torch.load(path.with_suffix(".whole"), weights_only=True)


def compare_masks():
    torch.distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    generator = torch.Generator().manual_seed(0)
    plain = {"output": torch.randn(7, 5, generator=generator), "b": torch.randn(4, 9, 3, generator=generator)}
    plain["b"][:, 2] = plain["b"][:, 1]  # ties
    parts = {name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in plain.items()}
    at_hand = [criterion for criterion in CRITERIA if not needs_of(criterion).kinds]
    for criterion, allocation in itertools.product(at_hand, ALLOCATIONS):
        one, other = (Pruner(weights, criterion, allocation, 0) for weights in (plain, parts))
        for cycle, sparsity in enumerate((0.3, 0.6), start=1):
            one.prune_(cycle, sparsity)
            other.prune_(cycle, sparsity)
            assert equal(one.masks.pack(), other.masks.pack()), (criterion, allocation)
            assert one.masks.living == other.masks.living
        assert all(isinstance(mask, DTensor) for mask in other.held().values())
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("processes", [2, 3])
def test_every_criterion_and_allocation_over_parts_equals_that_over_the_whole(processes):
    in_processes(processes, compare_masks)
