import re
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import Logger

from lightning_prune import IterativePruning
from lightning_prune.lab.runs.progress import CycleProgressBar
from lightning_prune.lab.runs.progress_lines import ProgressLines
from lightning_prune.lab.runs.run_folder import RunLogger


def fit(*callbacks, module: LightningModule | None = None, logger: Logger | bool = False) -> Trainer:
    trainer = Trainer(
        max_epochs=2,
        limit_train_batches=3,
        limit_val_batches=1,
        callbacks=[CycleProgressBar(), *callbacks],
        logger=logger,
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


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_bar_is_one_line_and_every_cycle_leaves_a_line(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    fit(IterativePruning(cycles=2, retrain=1), module=Talkative())
    printed = capsys.readouterr().out
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)
    lines = [line.split("\r")[-1] for line in re.split(r"\r?\n", shown)]
    ended = [re.sub(r"\d+\.\d s", "TIME", line) for line in lines if line.endswith(" s")]
    assert ended == [
        "dense · val/accuracy 50.0 % · TIME",
        "cycle 1/2 · sparsity 20.3 % · val/accuracy 50.0 % · TIME",
        "cycle 2/2 · sparsity 35.9 % · val/accuracy 50.0 % · TIME",
    ]
    drawn = [part.rstrip() for part in re.split(r"[\r\n]+", shown) if "━" in part or "Epoch" in part]
    assert drawn
    assert max(map(len, drawn)) <= width, "a longer line would be two in the terminal"
    training = [part for part in drawn if "cycle 2" in part and "Validation" not in part]
    assert all("Epoch" in part and "━" in part for part in training), "a part of the bar stands on a line of its own"
    assert any("3/3" in part for part in training)
    assert "val/accuracy: 0.500" in shown, "the metric that matters is whole"
    # lightning 2.6.0 draws after every validation batch, later ones a few times per second: seldom in one so short.
    validations = 2 * shown.count("Validation")
    assert printed.count("\x1b[1A") <= 1 + validations, "for a bar of two lines, rich goes up at every refresh"


def test_a_fit_ends_with_its_table_its_folder_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(IterativePruning(cycles=2, retrain=1), module=Talkative(), logger=RunLogger(str(tmp_path), "my run"))
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "my run" / "version_0"
    assert lines[-2:] == [f"The run is in {folder}", f"Report it: lightning-prune report '{folder}'"]
    cycles = [line.split()[0] for line in lines if re.match(r" *(dense|\d) +\d", line)]
    assert cycles == ["dense", "1", "2"]


def test_a_fit_that_is_interrupted_has_no_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stops(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        fit(Stops(), logger=RunLogger(str(tmp_path), "mine"))
    assert "Report it" not in capsys.readouterr().out


class Talkative(BoringModel):
    """A module that shows more numbers than fit into a narrow line."""

    def training_step(self, batch, batch_idx):
        self.log_dict({f"train/a_number_of_mine_{index}": float(index) for index in range(4)}, prog_bar=True)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", 0.5, prog_bar=True)
        return super().validation_step(batch, batch_idx)


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
