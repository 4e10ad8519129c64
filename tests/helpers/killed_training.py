"""Train a small network in cycles, in a process that is there to be killed.

``python training.py FOLDER POLICY`` trains once. Without arguments it reads such pairs from its input, a line each, and
trains each in a process forked from this one, which has imported what takes seconds to import. Its output says what is
going on: ``process 123``, then ``batch`` and ``saving`` as they begin, and ``ended 0`` when a forked process has ended.
"""

import hashlib
import json
import logging
import os
import sys
import warnings
from pathlib import Path

import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger
from torchdata.stateful_dataloader import StatefulDataLoader
from toys import Images, make_trainer, step_decay, toy

from lightning_prune import FineTune, IterativePruning, LRRewind, OneCycleRetrain, Shrink, Structures, WeightRewind

DENSE_EPOCHS = 3
POLICIES = {
    "rate": lambda: [IterativePruning(cycles=3, retrain="2ep"), LRRewind()],
    "weights": lambda: [IterativePruning(cycles=3), WeightRewind("1ep"), LRRewind("1ep")],
    "one-cycle": lambda: [IterativePruning(cycles=3, retrain="7it"), OneCycleRetrain(cycle_momentum=True)],
    "small": lambda: [
        IterativePruning(cycles=3, retrain="7it", granularity=Structures()),
        WeightRewind("1ep"),
        FineTune(),
        Shrink(at="cycles"),
    ],
}


class KeepsItsPlace(Images):
    """Shuffled, by a loader with a state."""

    def train_dataloader(self):
        return StatefulDataLoader(self.set, batch_size=self.batch, shuffle=True)


class Diary(Callback):
    """Says what is going on, and writes down every step so that a kill does not lose it."""

    def __init__(self, folder):
        self.file = appending(folder / "steps.jsonl")
        self.rates = None

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        say("batch")

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        say("saving")

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates = [(group["lr"], group["momentum"]) for group in optimizer.param_groups]

    def on_train_batch_end(self, trainer, pl_module, *_):
        if self.rates is None:
            return
        weights = pl_module.state_dict()
        cycle = next(one for one in trainer.callbacks if isinstance(one, IterativePruning)).cycle
        entry = {
            "process": os.getpid(),
            "step": trainer.global_step,
            "rates": self.rates,
            "cycle": cycle.index if cycle else 0,
            "zeros": sum(int((tensor == 0).sum()) for name, tensor in weights.items() if tensor.dim() > 1),
            "size": sum(tensor.numel() for tensor in weights.values()),
            "weights": digest(weights),
        }
        os.write(self.file, (json.dumps(entry) + "\n").encode())
        self.rates = None


class Rows(Logger):
    """Writes down every row as it comes: what a CSVLogger was rewriting when it was killed is lost."""

    name = version = "rows"

    def __init__(self, folder):
        super().__init__()
        self.file = appending(folder / "rows.jsonl")

    def log_hyperparams(self, *_):
        pass

    def log_metrics(self, metrics, step=None):
        os.write(self.file, (json.dumps(metrics) + "\n").encode())


def appending(file):
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def say(word):
    os.write(1, f"{word}\n".encode())


def digest(tensors):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors.values())).hexdigest()


def train(folder, policy):
    """Train to the end, from the newest checkpoint in the folder if there is one, and write what came out."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    folder.mkdir(exist_ok=True)
    seed_everything(0, verbose=False)
    module = toy(scheduler=step_decay)
    keep = [
        ModelCheckpoint(folder / "kept", filename="{step}", every_n_train_steps=2, save_last=True),
        ModelCheckpoint(
            folder / "kept", filename="{epoch}", every_n_epochs=1, save_on_train_epoch_end=True, save_last=True
        ),
    ]
    trainer = make_trainer(
        [*POLICIES[policy](), Diary(folder), *keep],
        max_epochs=DENSE_EPOCHS,
        accumulate_grad_batches=2,
        enable_checkpointing=True,
        logger=[CSVLogger(folder, name="log"), Rows(folder)],
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    seed_everything(1, verbose=False)
    trainer.fit(module, datamodule=KeepsItsPlace(), ckpt_path=os.environ.get("RESUME_FROM", "last"))
    result = {
        "weights": module.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
    }
    torch.save(result, folder / "result.tmp")
    (folder / "result.tmp").replace(folder / "result.pt")


def serve():
    """Train what the input asks for, each in a process of its own."""
    for line in sys.stdin:
        folder, policy = line.split()
        process = os.fork()
        if not process:
            say(f"process {os.getpid()}")
            try:
                train(Path(folder), policy)
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                os._exit(1)
            os._exit(0)
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        serve()
    else:
        say(f"process {os.getpid()}")
        train(Path(sys.argv[1]), sys.argv[2])
