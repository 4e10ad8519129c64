"""On two processes all hold the same moving masks, and train the network of one process with the joint batch."""

import json

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from moving_masks import moving
from promises import make_trainer
from toys import Images, fit, seed_everything, toy
from zoo import Adversaries, vectors

from lightning_prune import ACDC, SET, RigL
from lightning_prune.callbacks.masking.processes import digest
from lightning_prune.masks.packing import pack_bits

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Using `DistributedSampler` with the dataloaders", "ignore:It is recommended to use `self.log"
)


class Writes(Callback):
    """Writes the masks of each process after every step."""

    def __init__(self, folder):
        self.folder, self.found = folder, []

    def on_train_batch_end(self, trainer, *_):
        masks = {name: pack_bits(mask.to(torch.uint8)) for name, mask in moving(trainer).masks.items()}
        self.found.append(digest(masks))

    def on_train_end(self, trainer, pl_module):
        (self.folder / f"rank {trainer.global_rank}.json").write_text(json.dumps(self.found))


def run_on(processes, make, folder):
    folder.mkdir()
    keep = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    strategy = "ddp_fork" if processes > 1 else "auto"
    callbacks = [make(), Writes(folder), keep]
    fit(callbacks, toy(plain=True), Images(batch=16 // processes), devices=processes, strategy=strategy)
    held = [json.loads((folder / f"rank {rank}.json").read_text()) for rank in range(processes)]
    return held, torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RigL(0.6, every="2it", until=0.9),
        pytest.param(lambda: SET(0.6), marks=pytest.mark.slow),
        pytest.param(lambda: ACDC(0.6, [1, 3], [2]), marks=pytest.mark.slow),
    ],
    ids=["rigl", "set", "acdc"],
)
def test_two_processes_move_their_masks_alike(make, tmp_path):
    (one,), alone = run_on(1, make, tmp_path / "one")
    (first, second), both = run_on(2, make, tmp_path / "two")
    assert first == second == one
    assert len({json.dumps(held) for held in first}) > 1, "they move"
    for name, tensor in alone.items():
        assert torch.allclose(tensor, both[name], atol=1e-5), name


def test_several_optimizers_that_step_by_hand_each_move_the_masks_of_their_weights():
    class Counts(Callback):
        def __init__(self):
            self.seen = set()

        def on_train_batch_end(self, trainer, *_):
            masks = moving(trainer).masks
            self.seen |= {(name, digest({name: pack_bits(one.to(torch.uint8))})[name]) for name, one in masks.items()}
            for name, mask in masks.items():
                assert not trainer.lightning_module.get_parameter(name)[~mask].any()

    seed_everything(0, verbose=False)
    counts, callback = Counts(), RigL(0.5, every="2it")
    make_trainer([callback, counts], max_epochs=2, limit_val_batches=0).fit(Adversaries(), vectors())
    names = [name for name, _ in counts.seen]
    assert callback.measured_sparsity == pytest.approx(0.5, abs=0.01)
    for net in ("generator", "discriminator"):
        assert max(names.count(name) for name in set(names) if name.startswith(net)) > 1, "its masks have moved"
