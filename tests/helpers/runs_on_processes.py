"""One small run on several processes, and the masks that it ends with."""

import json

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from toys import Images, fit, toy

from lightning_prune import IterativePruning, LRRewind, magnitude
from lightning_prune.callbacks.masking.processes import digest


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
    folder,
    processes,
    criterion=magnitude,
    beside=LRRewind,
    strategy="ddp_spawn",
    cycles=2,
    ckpt_path=None,
    units=None,
    **options,
):
    folder.mkdir(exist_ok=True)
    keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    pruning = IterativePruning(cycles=cycles, retrain="2ep", criterion=criterion, **(units or {}))
    fit(
        [pruning, beside(), Masks(folder), keep], toy(plain=True), Images(batch=16 // processes), ckpt_path,
        devices=processes, strategy=strategy if processes > 1 else "auto", enable_checkpointing=True,
        logger=CSVLogger(folder, name="", version="log"), log_every_n_steps=1, **options,
    )  # fmt: skip
    return torch.load(folder / "epoch=7.ckpt", weights_only=True)


def held(folder, cycle):
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"cycle {cycle} rank *.json"))]
