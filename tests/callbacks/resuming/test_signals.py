"""Signals that stop a run: it is saved where it is whole, and ends as the run that was not stopped."""

import os
import signal
import sys

import pytest
from lightning.pytorch.callbacks import OnExceptionCheckpoint
from lightning.pytorch.plugins.environments import SLURMEnvironment
from stateful_loaders import KeepsItsPlace
from toys import Rates, Toy, equal, fit, one_cycle_lr, toy

from lightning_prune import IterativePruning, LRRewind, WeightRewind

pytestmark = [
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
    pytest.mark.filterwarnings("ignore:.*fit.ckpt_path="),
    pytest.mark.filterwarnings("ignore:.*Found .* module"),
]
SLURM = {
    "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "train",
    "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
}  # fmt: skip


class Signalled(Toy):
    """Is sent a signal in the middle of a training step, between the forward pass and the backward one."""

    at = signal_sent = None

    def training_step(self, batch, index):
        loss = super().training_step(batch, index)
        if self.trainer.fit_loop.epoch_loop.batch_progress.total.ready == self.at:
            os.kill(os.getpid(), self.signal_sent)
        return loss


def callbacks():
    return [IterativePruning(cycles=2), WeightRewind("1ep"), LRRewind("1ep")]


def run(at=None, sent=None, beside=(), **options):
    start, module, rates = toy(scheduler=one_cycle_lr), Signalled(scheduler=one_cycle_lr), Rates()
    module.load_state_dict(start.state_dict())
    module.at, module.signal_sent = at, sent
    try:
        fit([*callbacks(), rates, *beside], module, KeepsItsPlace(), max_epochs=3, accumulate_grad_batches=2, **options)
    except SystemExit:
        assert sent == signal.SIGTERM
    return module, rates.steps


BATCHES = (3, 8, 12, 23, 24, 30)  # within and at the ends of epochs, before and in cycles, in the middle of a window


@pytest.mark.parametrize("at", BATCHES)
def test_a_job_that_slurm_requeues_goes_on_where_the_batch_ended(at, tmp_path, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    requeued = tmp_path / "requeued"
    stub = tmp_path / "bin" / "scontrol"
    stub.parent.mkdir()
    stub.write_text(f"#!{sys.executable}\nimport sys\nopen({str(requeued)!r}, 'a').write(' '.join(sys.argv[1:]))\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(stub.parent), prepend=os.pathsep)
    folder = tmp_path / "run"
    folder.mkdir()
    options = {"plugins": [SLURMEnvironment(auto_requeue=True)], "default_root_dir": folder}
    whole, rates = run(at, signal.SIGUSR1, **options)  # it goes on until SLURM kills it
    assert requeued.read_text() == "requeue 17"
    assert [path.name for path in folder.iterdir()] == ["hpc_ckpt_1.ckpt"]
    again, later = run(**options)  # Lightning finds the file by itself
    assert 0 < len(later) < len(rates)
    assert later == rates[len(rates) - len(later) :]
    assert equal(again.state_dict(), whole.state_dict())
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@pytest.mark.parametrize("at", BATCHES)
def test_a_terminated_run_that_saves_on_exceptions_goes_on_where_the_batch_ended(at, tmp_path):
    whole, rates = run()
    _, before = run(at, signal.SIGTERM, [OnExceptionCheckpoint(tmp_path, filename="terminated")])
    assert len(before) < len(rates)
    again, later = run(ckpt_path=tmp_path / "terminated.ckpt")
    assert before + later == rates
    assert equal(again.state_dict(), whole.state_dict())
