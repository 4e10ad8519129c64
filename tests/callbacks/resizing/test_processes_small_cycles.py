"""On several processes every cycle trains the same smaller network, and DistributedDataParallel is wrapped again."""

import os

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from processes import in_processes
from shrinking_runs import SizesSeen, clock, distance
from structured import structured
from torch.nn.parallel import DistributedDataParallel
from toys import Images, equal, fit

from lightning_prune import Shrink, magnitude
from lightning_prune.criteria import snip

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")]


class Wrapped(SizesSeen):
    """Sees that the gradients of the processes are averaged, by buckets of the present sizes."""

    def on_after_backward(self, trainer, pl_module):
        super().on_after_backward(trainer, pl_module)
        assert isinstance(trainer.strategy.model, DistributedDataParallel)
        assert trainer.strategy.model.module is pl_module
        for parameter in pl_module.parameters():
            mine, other = parameter.grad.clone(), parameter.grad.clone()
            torch.distributed.all_reduce(other)
            assert torch.allclose(mine * 2, other, rtol=1e-12)


def train(folder, shrinks, ckpt_path=None, criterion=magnitude):
    module, shrink, seen = structured(), Shrink(at="cycles"), Wrapped()
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    callbacks = [clock(criterion=criterion), *([shrink] if shrinks else []), seen, keep]
    fit(
        callbacks, module, Images(batch=4), ckpt_path, devices=2, strategy="ddp", max_epochs=2, precision="64-true",
        limit_val_batches=0,
    )  # fmt: skip
    return module, shrink, seen.seen


def compare_with_masked(folder):
    masked, _, _ = train(folder / "masked", False, criterion=snip)
    small, shrink, seen = train(folder / "small", True, criterion=snip)
    assert distance(small, shrink, masked) < 1e-12
    assert len(set(seen)) == 4
    states = [None, None]
    torch.distributed.all_gather_object(states, dict(small.named_parameters()))
    assert equal(*states)


def resume(folder):
    whole, _, _ = train(folder / "whole", True)
    for epoch in (1, 2, 3):
        resumed, _, _ = train(folder / str(epoch), True, folder / "whole" / f"epoch={epoch}.ckpt")
        # A process that is not the first one has lost the statistics of its own data.
        assert equal(dict(whole.named_parameters()), dict(resumed.named_parameters()))
        if int(os.environ["RANK"]) == 0:
            assert equal(dict(whole.state_dict()), dict(resumed.state_dict()))


@pytest.mark.parametrize("work", [compare_with_masked, resume])
def test_on_two_processes(tmp_path, work):
    in_processes(2, work, tmp_path)
