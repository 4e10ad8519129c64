"""Lightning's own callbacks beside ours: bystanders change nothing, tuners go first or are refused."""

from functools import cache

import pytest
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LambdaCallback,
    LearningRateFinder,
    LearningRateMonitor,
    ModelSummary,
    RichModelSummary,
    RichProgressBar,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader
from toys import Images, Toy, equal
from watched import check, each_step, run

pytestmark = pytest.mark.filterwarnings("ignore:.*fit.ckpt_path=")  # Lightning, of a tuner's own checkpoint

BYSTANDERS = {
    "tqdm": lambda: TQDMProgressBar(),
    "rich progress": lambda: RichProgressBar(),
    "summary": lambda: ModelSummary(max_depth=-1),
    "rich summary": lambda: RichModelSummary(max_depth=-1),
    "rates": lambda: LearningRateMonitor(log_momentum=True, log_weight_decay=True),
    "timer": lambda: Timer(duration={"days": 1}),
    "device": lambda: DeviceStatsMonitor(cpu_stats=True),
    "lambda": lambda: LambdaCallback(on_before_optimizer_step=lambda *_: None, on_train_epoch_end=lambda *_: None),
    "windows of one": lambda: GradientAccumulationScheduler({0: 1}),
}


@pytest.fixture
def _stats(monkeypatch):
    monkeypatch.setattr(CPUAccelerator, "get_device_stats", lambda *_: {"cpu_percent": 1.0})


@cache
def plain():
    return run("one cycle")[0].lightning_module.state_dict()


@pytest.mark.usefixtures("_stats")
@pytest.mark.parametrize("name", BYSTANDERS)
def test_a_bystander_changes_nothing(name, tmp_path):
    trained = run(
        "one cycle",
        beside=[BYSTANDERS[name]()],
        logger=CSVLogger(tmp_path),
        log_every_n_steps=1,
        enable_progress_bar=name in ("tqdm", "rich progress"),
        enable_model_summary="summary" in name,
    )
    check("one cycle", trained, 24, [12, 12])
    assert equal(trained[0].lightning_module.state_dict(), plain())


@pytest.mark.parametrize("bar", [TQDMProgressBar, RichProgressBar])
def test_progress_bars_show_the_epochs_of_the_whole_run_the_cycle_and_the_sparsity(bar, capsys):
    seen = []

    class Bar(bar):
        def on_train_epoch_end(self, trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)
            shown = self.get_metrics(trainer, pl_module)
            seen.append((trainer.current_epoch, shown.get("pruning/cycle"), shown.get("pruning/sparsity")))

    run("rewind", beside=[Bar()], enable_progress_bar=True)
    shown = capsys.readouterr()
    assert "Epoch 7" in shown.out + shown.err
    epochs, cycles, sparsities = zip(*seen, strict=True)
    assert epochs == tuple(range(8))
    assert cycles[-4:] == (1, 1, 2, 2)
    assert sparsities[-4:] == pytest.approx([1 - n / 706 for n in (565, 565, 452, 452)])


class Tuned(Toy):
    def __init__(self):
        super().__init__(scheduler=each_step)
        self.batch_size, self.lr = 2, 0.1

    def train_dataloader(self):
        return DataLoader(Images().set, batch_size=self.batch_size)


class Own(Images):
    def train_dataloader(self):
        return self.trainer.lightning_module.train_dataloader()


@pytest.mark.parametrize("policy", ["one cycle", pytest.param("rewind", marks=pytest.mark.slow)])
def test_a_batch_size_that_is_found_decides_the_steps_of_an_epoch(policy, tmp_path):
    finder = BatchSizeFinder(max_trials=3, steps_per_trial=1)
    trained = run(policy, data=Own(), module=Tuned(), beside=[finder], default_root_dir=tmp_path)
    assert finder.optimal_batch_size == 8
    check(policy, trained, 24, [12, 12])


FINDERS = [lambda: BatchSizeFinder(max_trials=2), lambda: LearningRateFinder(num_training_steps=5)]


@pytest.mark.parametrize("finder", FINDERS)
def test_a_tuner_of_a_resumed_fit_is_refused(finder, tmp_path):
    run("rewind", module=Tuned())[0].save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="Finder makes Lightning forget where a resumed fit was.*Resume without"):
        run("rewind", data=Own(), module=Tuned(), beside=[finder()], ckpt_path=tmp_path / "x.ckpt")


def test_a_tuner_within_the_fit_is_refused():
    class FindsLater(LearningRateFinder):
        def on_fit_start(self, *_):
            pass

        def on_train_epoch_start(self, trainer, pl_module):
            self.lr_find(trainer, pl_module)

    with pytest.raises(ValueError, match=r"FindsLater tunes within the fit.*at the start: LearningRateFinder\(...\)"):
        run("rewind", module=Tuned(), beside=[FindsLater()])
