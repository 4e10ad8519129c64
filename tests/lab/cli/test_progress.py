import re

import pytest
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from lightning_prune import IterativePruning
from lightning_prune.lab.runs.progress import CycleProgressBar
from lightning_prune.lab.runs.progress_lines import ProgressLines


def fit(*callbacks, module: LightningModule | None = None) -> Trainer:
    trainer = Trainer(
        max_epochs=2,
        limit_train_batches=3,
        limit_val_batches=1,
        callbacks=[CycleProgressBar(), *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module or BoringModel())
    return trainer


def test_a_line_per_cycle_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fit(IterativePruning(cycles=2, retrain=1))
    lines = re.sub(r"\d+\.\d s", "TIME", capsys.readouterr().out).splitlines()
    assert lines == [
        "dense · no validation metric · TIME",
        "cycle 1/2 · sparsity 20.3 % · no validation metric · TIME",
        "cycle 2/2 · sparsity 35.9 % · no validation metric · TIME",
    ]


def test_without_pruning_the_fit_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fit()
    assert re.fullmatch(r"no validation metric · \d+\.\d s\n", capsys.readouterr().out)


def test_the_bar_shows_cycle_and_sparsity_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    fit(IterativePruning(cycles=2, retrain=1))
    printed = capsys.readouterr().out
    assert "cycle 2/2 · sparsity 35.9 %" in printed
    assert "Epoch 3/3" in printed
    assert "pruning/" not in printed


class Own(BoringModel):
    """A module that shows a number of its own, under a name like ours."""

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("pruning/own", 7.0, prog_bar=True)


def test_the_bar_says_the_cycle_once_and_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    trainer = fit(IterativePruning(cycles=1, retrain=1), module=Own())
    bar = trainer.progress_bar_callback
    assert isinstance(bar, CycleProgressBar)
    assert bar.where == "cycle 1/1 · sparsity 20.3 %"
    assert set(bar.get_metrics(trainer, trainer.lightning_module)) == {"pruning/own"}
    assert {"pruning/cycle", "pruning/sparsity"} <= trainer.logged_metrics.keys(), "the loggers have them as before"


def test_a_long_cycle_is_not_silent() -> None:
    times = iter([0.0, 10.0, 31.0, 50.0, 62.0])
    written: list[str] = []
    lines = ProgressLines(written.append, now=lambda: next(times))
    lines.enter("cycle 1/2")
    for epoch in (1, 2, 3):
        lines.epoch_ended("val/loss 0.5", f"epoch {epoch}/3")
    lines.leave()
    assert written == ["cycle 1/2 · epoch 2/3 · val/loss 0.5", "cycle 1/2 · val/loss 0.5 · 62.0 s"]
