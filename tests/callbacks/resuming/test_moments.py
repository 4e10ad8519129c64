"""Saved at any moment of any batch, and resumed elsewhere, a run ends as the uninterrupted one, bit for bit."""

import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from policies_in_runs import POLICIES
from resumed_runs import OPTIMIZERS, SCHEDULERS
from stateful_loaders import KeepsItsPlace, everything
from toys import Rates, equal, make_trainer, toy

from lightning_prune import IterativePruning

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata calls it
]


class Saves(Callback):
    """Saves at each of the five moments that a checkpoint can be of, in every epoch and after every batch."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def _save(self, trainer, moment):
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        trainer.save_checkpoint(self.folder / f"{batches:03d} {moment}.ckpt")

    def on_train_epoch_start(self, trainer, pl_module):
        self._save(trainer, "epoch start")

    def on_train_batch_end(self, trainer, *_):
        self._save(trainer, "batch end")

    def on_validation_end(self, trainer, pl_module):
        self._save(trainer, "validation end")

    def on_train_epoch_end(self, trainer, pl_module):
        self._save(trainer, "epoch end")


class Logged(Callback):
    """Notes the cycle and the sparsity that are logged for every epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_start(self, trainer, pl_module):
        self._read(trainer)

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(None)  # what is logged at an epoch end can be read after it

    def on_train_end(self, trainer, pl_module):
        self._read(trainer)

    def _read(self, trainer):
        if None in self.epochs:
            metrics = trainer.callback_metrics
            self.epochs[-1] = float(metrics["pruning/cycle"]), float(metrics["pruning/sparsity"])


def run(policy, scheduler, optimizer, beside=(), ckpt_path=None, seed=1, **options):
    rates, logged = Rates(), Logged()
    module = toy(scheduler=SCHEDULERS[scheduler], optimizer=OPTIMIZERS[optimizer])
    callbacks = [IterativePruning(cycles=3, retrain=retrain(policy, options)), *POLICIES[policy](), rates, logged]
    given = {"max_epochs": 3, "accumulate_grad_batches": 2, **options}
    trainer = make_trainer([*callbacks, *beside], **given)
    seed_everything(seed, verbose=False)
    trainer.fit(module, datamodule=KeepsItsPlace(), ckpt_path=ckpt_path)
    return trainer, rates.steps, logged.epochs


def retrain(policy, options):
    if POLICIES[policy]()[0].rewind_point is not None:
        return None
    return "4it" if "max_steps" in options else "1ep"


def resume(file, arguments, options):
    """What a new process makes of a checkpoint, in plain values and tensors as bytes."""
    again, rates, epochs = run(*arguments, ckpt_path=file, seed=99, **options)
    found = io.BytesIO()
    torch.save(everything(again), found)
    return rates, epochs, found.getvalue()


def resume_from_all(tmp_path, *arguments, **options):
    """Resume every checkpoint of a run in another process than the one that saved it; how many there were."""
    whole, rates, logged = run(*arguments, beside=[Saves(tmp_path / "saved")], **options)
    expected = everything(whole)
    files = sorted((tmp_path / "saved").iterdir())
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        for file in files:
            later, epochs, content = process.submit(resume, file, arguments, options).result()
            found = torch.load(io.BytesIO(content), weights_only=True)
            assert later == rates[torch.load(file, weights_only=True)["global_step"] :], file.name
            assert epochs == logged[len(logged) - len(epochs) :], file.name
            if not epochs:  # nothing was left to do: it looked for a batch that never came
                found["IterativePruning"]["position"] = expected["IterativePruning"]["position"]
            for part, value in expected.items():
                assert equal(found[part], value), (file.name, part)
    return len(files)


@pytest.mark.parametrize(
    ("policy", "scheduler", "optimizer", "options"),
    [
        ("rewind both apart", "one cycle", "sgd", {}),
        pytest.param("one cycle", "plateau", "adamw", {"val_check_interval": 0.5}, marks=pytest.mark.slow),
    ],
)
def test_saved_at_any_moment_a_run_ends_as_the_uninterrupted_one(policy, scheduler, optimizer, options, tmp_path):
    assert resume_from_all(tmp_path, policy, scheduler, optimizer, **options) >= 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "optimizer", "options"),
    [
        ("none", "sgd", {}),
        ("steps", "adamw", {}),
        ("one cycle", "adamw", {}),
        ("plateau", "sgd", {}),
        ("steps", "sgd", {"max_epochs": None, "max_steps": 8}),
        ("one cycle", "adamw", {"max_epochs": None, "max_steps": 8, "check_val_every_n_epoch": 2}),
        ("none", "adamw", {"limit_val_batches": 0, "accumulate_grad_batches": 4}),
        ("one cycle", "sgd", {"val_check_interval": 2, "accumulate_grad_batches": 1}),
    ],
)
@pytest.mark.parametrize("policy", POLICIES)
def test_saved_at_any_moment_any_run_ends_as_the_uninterrupted_one(policy, scheduler, optimizer, options, tmp_path):
    assert resume_from_all(tmp_path, policy, scheduler, optimizer, **options) >= 20
