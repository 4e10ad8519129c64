"""Runs that are interrupted and resumed, and how two of them are compared."""

import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from toys import Images, Rates, equal, fit, one_cycle_lr, plateau, step_decay, toy

from lightning_prune import (
    IterativePruning,
)

SCHEDULERS = {"steps": step_decay, "one cycle": one_cycle_lr, "plateau": plateau, "none": None}


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}


class Keep(Callback):
    """Keeps a checkpoint of the end of an epoch."""

    def __init__(self, path, epoch):
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


def run(folder, policy, scheduler, optimizer, ckpt_path=None, retrain="2ep", **options):
    """Train a toy over two cycles, with a checkpoint at the end of every epoch."""
    rates = Rates()
    module = toy(scheduler=scheduler, optimizer=optimizer, groups=(1.0, 0.5))
    keep = ModelCheckpoint(
        folder, filename="{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True,
        enable_version_counter=False,
    )  # fmt: skip
    length = None if policy()[0].rewind_point is not None else retrain
    callbacks = [IterativePruning(cycles=2, retrain=length), *policy(), rates, keep]
    data = Images(shuffle=True)  # in an order that is drawn, as is what drops out
    trainer = fit(callbacks, module, data, ckpt_path=ckpt_path, enable_checkpointing=True, **options)
    return trainer, rates


def compare(folder, again, epochs):
    """Every checkpoint written after the resumption against its uninterrupted twin."""
    compared = 0
    for epoch in epochs:
        one = torch.load(folder / f"epoch={epoch}.ckpt", weights_only=True)
        other = torch.load(again / f"epoch={epoch}.ckpt", weights_only=True)
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
            assert equal(one[part], other[part]), (epoch, part)
        ours = [key for key in one["callbacks"] if "ModelCheckpoint" not in key]
        assert len(ours) >= 2
        for key in ours:
            assert equal(timeless(one["callbacks"][key]), timeless(other["callbacks"][key])), (epoch, key)
        compared += 1
    return compared


def resume_from_every_epoch(tmp_path, make, retrain=2):
    """Resume a run of two cycles at the end of each of its epochs, and see that it ends as the uninterrupted one.

    Args:
        tmp_path: An empty folder.
        make: Makes the callback that is beside the clock.
        retrain: The length of a cycle. Such that the run has six epochs.
    """

    def train(folder, ckpt_path=None):
        keep = ModelCheckpoint(
            folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True, enable_version_counter=False
        )
        callbacks = [IterativePruning(cycles=2, retrain=retrain), make(), keep]
        fit(callbacks, toy(), Images(shuffle=True), ckpt_path, enable_checkpointing=True, max_epochs=2)

    train(tmp_path / "whole")
    for epoch in range(5):
        train(tmp_path / f"{epoch}", tmp_path / "whole" / f"epoch={epoch}.ckpt")
        assert compare(tmp_path / "whole", tmp_path / f"{epoch}", range(epoch + 1, 6)) == 5 - epoch


def timeless(state):
    """A callback's state without how long its prunes and its epochs took."""
    cycles = [{k: v for k, v in cycle.items() if k != "seconds"} for cycle in state.get("cycles", [])]
    metrics = {k: v for k, v in state.get("metrics", {}).items() if k != "pruning/seconds"}
    return {**state, "cycles": cycles, "metrics": metrics}
