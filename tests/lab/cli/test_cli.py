import csv
import json
import shlex
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import torch
import yaml
from command_line_runs import PRUNING, QUICK, failure, in_an_empty_folder, write  # noqa: F401
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer

import lightning_prune.cli as cli
from lightning_prune import UserError, __version__
from lightning_prune.cli import main
from lightning_prune.lab.cli.command_line import CommandLine


def rows(folder: str) -> list[dict[str, str]]:
    with Path(folder, "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for command in ("fit", "validate", "test", "predict", "report"):
        assert f"\n    {command} " in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"lightning-prune {__version__}"


def test_fit_works_without_a_config_and_leaves_a_run_folder() -> None:
    main(["fit", "--trainer.max_epochs=2", *QUICK])
    run = Path("runs/version_0")
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "metrics.csv", "checkpoints"}
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert {"train/loss", "val/accuracy"} <= set(rows("runs/version_0")[0])
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["model"]["class_path"] == "lightning_prune.lab.Classifier"


def test_a_second_run_gets_a_folder_of_its_own() -> None:
    for _ in range(2):
        main(["fit", "--trainer.max_epochs=1", *QUICK])
    assert len(rows("runs/version_0")) == len(rows("runs/version_1"))


def test_the_users_logger_and_callbacks_take_the_place_of_the_defaults() -> None:
    config = write("""
trainer:
  logger: {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: mine, name: run}}
  callbacks:
    - {class_path: LearningRateMonitor, init_args: {logging_interval: epoch}}
    - {class_path: ModelCheckpoint, init_args: {filename: kept}}
""")
    main(["fit", f"--config={config}", "--trainer.max_epochs=1", *QUICK])
    assert not Path("runs").exists()
    assert [path.name for path in Path("mine/run/version_0/checkpoints").iterdir()] == ["kept.ckpt"]
    assert sum(bool(row["lr-SGD"]) for row in rows("mine/run/version_0")) == 1


def test_switched_off_means_off() -> None:
    switches = ["--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.enable_progress_bar=false"]
    main(["fit", "--trainer.max_epochs=1", *switches, *QUICK])
    assert not list(Path().iterdir())


def test_a_resumed_run_goes_on_in_its_folder() -> None:
    main(["fit", "--trainer.max_epochs=3", *QUICK])
    whole = rows("runs/version_0")
    main(["fit", "--trainer.max_epochs=2", "--trainer.logger.name=parts", *QUICK])
    main(["fit", "--trainer.max_epochs=3", "--trainer.logger.name=parts", "--ckpt_path=last", *QUICK])
    assert [path.name for path in Path("runs/parts").iterdir()] == ["version_0"]
    parts = rows("runs/parts/version_0")
    assert [row["step"] for row in parts] == [row["step"] for row in whole]
    assert [row["val/loss"] for row in parts] == [row["val/loss"] for row in whole]
    assert {path.name for path in Path("runs/parts/version_0/checkpoints").iterdir()} == {"last.ckpt"}
    assert yaml.safe_load(Path("runs/parts/version_0/config.yaml").read_text())["ckpt_path"] is None
    assert yaml.safe_load(Path("runs/parts/version_0/config_resumed.yaml").read_text())["trainer"]["max_epochs"] == 3


def test_what_is_trained_again_replaces_what_was_logged() -> None:
    main(["fit", "--trainer.max_epochs=2", *QUICK])
    checkpoint = Path("runs/version_0/checkpoints/last.ckpt")
    early = checkpoint.with_name("early.ckpt")
    early.write_bytes(checkpoint.read_bytes())
    main(["fit", "--trainer.max_epochs=4", f"--ckpt_path={checkpoint}", *QUICK])
    whole = rows("runs/version_0")
    main(["fit", "--trainer.max_epochs=4", f"--ckpt_path={early}", *QUICK])
    assert [row["step"] for row in rows("runs/version_0")] == [row["step"] for row in whole]
    assert len(Path("runs/version_0/metrics.previous.csv").read_text().splitlines()) == 1 + len(whole)


def test_a_run_resumed_elsewhere_leaves_the_first_alone() -> None:
    main(["fit", "--trainer.max_epochs=2", *QUICK])
    before = Path("runs/version_0/metrics.csv").read_text()
    last = "runs/version_0/checkpoints/last.ckpt"
    main(["fit", "--trainer.max_epochs=3", "--trainer.logger.name=copy", f"--ckpt_path={last}", *QUICK])
    assert Path("runs/version_0/metrics.csv").read_text() == before
    assert len(rows("runs/copy/version_0")) == 3 * len(rows("runs/version_0")) // 2


def test_a_new_run_in_an_old_folder_starts_afresh() -> None:
    for epochs in (3, 2):
        main(["fit", f"--trainer.max_epochs={epochs}", "--trainer.logger.version=same", *QUICK])
    last = rows("runs/same")[-1]
    assert (last["epoch"], len(rows("runs/same"))) == ("1", 8)
    assert yaml.safe_load(Path("runs/same/config.yaml").read_text())["trainer"]["max_epochs"] == 2
    assert Path("runs/same/metrics.previous.csv").exists()


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_results_have_files_of_their_own_in_the_run() -> None:
    main(["fit", "--trainer.max_epochs=1", *QUICK])
    log = Path("runs/version_0/metrics.csv").read_text()
    for _ in range(2):
        main(["test", "--ckpt_path=last", "--trainer.limit_test_batches=1"])
    main(["validate", "--ckpt_path=last", "--trainer.limit_val_batches=1"])
    main(["predict", "--ckpt_path=last", "--trainer.limit_predict_batches=1"])
    assert [path.name for path in Path("runs").iterdir()] == ["version_0"]
    assert Path("runs/version_0/metrics.csv").read_text() == log
    assert [(row["step"], set(row)) for row in table("runs/version_0/test.csv")] == [
        ("4", {"step", "test/loss", "test/accuracy"})
    ] * 2
    assert [(row["step"], set(row)) for row in table("runs/version_0/validate.csv")] == [
        ("4", {"step", "val/loss", "val/accuracy"})
    ]
    assert torch.load("runs/version_0/predictions.pt").shape == (128, 10)


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_evaluation_needs_weights(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert f"`{command}` needs trained weights. Add --ckpt_path" in failure(capsys, command)
    assert not Path("runs").exists()


def test_configs_parse_back_to_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--trainer.max_epochs=7", "--print_config"])
    first = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["fit", f"--config={write(first)}", "--print_config"])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("trainr: {max_epochs: 3}", "There is no `trainr`. Did you mean `trainer`?"),
        ("trainer: {max_epoch: 3}", "There is no `trainer.max_epoch`. Did you mean `trainer.max_epochs`?"),
        ("trainer: {max_epochs: three}", "trainer.max_epochs: given was `three`, expected int or null."),
        (
            "trainer: {callbacks: [{class_path: LearningRateMonitor, init_args: {loging_interval: step}}]}",
            "LearningRateMonitor: there is no `loging_interval`. Did you mean `logging_interval`?",
        ),
        (
            "trainer: {callbacks: [{class_path: LearningRateMonitor, init_arg: {logging_interval: step}}]}",
            "there is no `init_arg`. Did you mean `init_args`?",
        ),
        (
            "trainer: {callbacks: [{class_path: lightning_prune.lab.runs.progress.CyclProgressBar}]}",
            "lightning_prune.lab.runs.progress has no `CyclProgressBar`. Did you mean `CycleProgressBar`?",
        ),
        (
            "trainer: {callbacks: [{class_path: LearningRateMonitor, init_args: {logging_interval: stp}}]}",
            "given was `stp`, expected 'step', 'epoch' or null.",
        ),
        ("data: {class_path: Digits, init_args: {bach_size: 3}}", "Did you mean `batch_size`?"),
    ],
)
def test_a_misspelt_config_is_answered_in_one_sentence(
    capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    printed = failure(capsys, "fit", f"--config={write(text)}")
    assert complaint in printed
    assert printed.startswith("lightning-prune fit: error: ")
    assert len(printed.splitlines()) == 2


def test_a_misspelt_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean `trainer.max_epochs`?" in failure(capsys, "fit", "--trainer.max_epoch=3")


def test_a_bad_value_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    printed = failure(capsys, "fit", "--model.label_smoothing=2.0")
    assert printed.startswith("lightning-prune fit: error: Classifier(label_smoothing=2.0): `label_smoothing` must")
    assert len(printed.splitlines()) == 2


def test_the_traceback_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.DEBUG, "1")
    with pytest.raises(ValueError, match="label_smoothing"):
        main(["fit", "--model.label_smoothing=2.0"])


@pytest.mark.parametrize("logger", ["", "CSVLogger", "false", "list"])
def test_last_is_found_or_refused_with_any_logger(capsys: pytest.CaptureFixture[str], logger: str) -> None:
    words = {
        "": [],
        "CSVLogger": ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=mine"],
        "false": ["--trainer.logger=false"],
        "list": [
            "--trainer.logger+=lightning_prune.lab.runs.run_folder.RunLogger",
            "--trainer.logger+=CSVLogger",
            "--trainer.logger.save_dir=mine",
        ],
    }[logger]
    assert "`--ckpt_path last`: no run in" in failure(capsys, "fit", "--ckpt_path=last", *words)
    main(["fit", "--trainer.max_epochs=1", *words, *QUICK])
    main(["fit", "--trainer.max_epochs=2", "--ckpt_path=last", *words, *QUICK])
    steps = {torch.load(path, weights_only=True)["global_step"] for path in Path().rglob("last.ckpt")}
    assert 8 in steps


def test_no_checkpoint_to_resume_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run in runs has a checkpoints/last.ckpt" in failure(capsys, "fit", "--ckpt_path=last")
    assert "`--ckpt_path gone.ckpt` does not exist" in failure(capsys, "fit", "--ckpt_path=gone.ckpt")
    Path("half.ckpt").write_bytes(b"half")
    assert "`--ckpt_path half.ckpt` cannot be read" in failure(capsys, "fit", "--ckpt_path=half.ckpt")
    torch.save({"weight": torch.zeros(1)}, "weights.ckpt")
    assert "is no checkpoint of a Trainer" in failure(capsys, "fit", "--ckpt_path=weights.ckpt")


def test_the_checkpoint_of_another_network_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", "--trainer.max_epochs=1", *QUICK])
    words = ["--model.network=ConvNet", "--model.network.channels=1", "--ckpt_path=last"]
    assert "error: The checkpoint is of another network." in failure(capsys, "test", *words)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("--model.classes=3", "Classifier(classes=3): `classes` must be 10, as many as Digits has."),
        ("--model.optimizer={class_path: torch.optim.SGD, init_args: {lr: -1}}", "error: Invalid learning rate: -1"),
    ],
)
def test_what_only_the_start_of_the_fit_finds_is_one_message(
    capsys: pytest.CaptureFixture[str], word: str, complaint: str
) -> None:
    assert complaint in failure(capsys, "fit", word, "--trainer.max_epochs=1", *QUICK)


def test_a_refused_run_leaves_the_old_one_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--trainer.logger.version=one", *QUICK]
    main(["fit", f"--config={write(PRUNING.format(dense=2, cycles=1, to='1ep'))}", *quick])
    files = {path: path.read_bytes() for path in Path("runs/config/one").glob("*.*")}
    last = "--ckpt_path=runs/config/one/checkpoints/last.ckpt"
    config = write(PRUNING.format(dense=2, cycles=2, to="0"))
    assert "cannot resume" in failure(capsys, "fit", f"--config={config}", last, *quick)
    config = write(PRUNING.format(dense=2, cycles=2, to="9ep"))
    failure(capsys, "fit", f"--config={config}", *quick)
    assert {path: path.read_bytes() for path in Path("runs/config/one").glob("*.*")} == files


def test_older_logs_are_numbered() -> None:
    for epochs in (1, 2, 3):
        main(["fit", f"--trainer.max_epochs={epochs}", "--trainer.logger.version=same", *QUICK])
    names = [f"runs/same/metrics.{name}.csv" for name in ("previous", "previous-2")]
    assert [table(name)[-1]["epoch"] for name in names] == ["0", "1"]


def test_a_class_of_the_current_folder_gets_its_own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine_here.py").write_text("""
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from lightning.pytorch.loggers import CSVLogger
class Net(BoringModel):
    def __init__(self, classes: int = 3, network: int = 1):
        super().__init__()
        assert (classes, network) == (3, 1)
class Data(BoringDataModule):
    def __init__(self, batch_size: int = 7, padding: int = 5):
        super().__init__()
        assert (batch_size, padding) == (7, 5)
class Log(CSVLogger):
    def __init__(self, save_dir: str = "here", name: str = "own", version: int = 4):
        super().__init__(save_dir, name, version)
        assert (save_dir, name, version) == ("here", "own", 4)
""")
    config = write("model: {class_path: mine_here.Net}\ndata: {class_path: mine_here.Data}\n")
    words = [f"--config={config}", "--trainer.logger=mine_here.Log", "--trainer.max_epochs=1", *QUICK]
    main(["fit", *words])
    assert Path("here/own/version_4/metrics.csv").exists()
    # A config may be text, which is too long for the name of a file.
    text = f"# {'long ' * 100}\n{Path(config).read_text()}"
    made = CommandLine([f"--config={text}", "--trainer.logger=false"], run=False)
    assert type(made.model).__name__ == "Net"
    assert type(made.datamodule).__name__ == "Data"


def test_only_the_users_own_callbacks_are_called_for_every_batch_in_vain() -> None:
    given = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
    made = CommandLine([f"--trainer.callbacks={json.dumps([given])}"], run=False)
    called = {type(one).__name__ for one in made.trainer.callbacks if callable(one.on_before_zero_grad)}
    assert called == {"EarlyStopping"}
    assert {"RunConfig", "RichModelSummary"} <= {type(one).__name__ for one in made.trainer.callbacks}


def test_a_long_value_is_no_path() -> None:
    monitor = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "long " * 100}}
    made = CommandLine([f"--trainer.callbacks={json.dumps([monitor])}", "--trainer.logger=false"], run=False)
    assert any(getattr(one, "monitor", None) == "long " * 100 for one in made.trainer.callbacks)


def test_a_run_is_named_after_its_config_and_report_finds_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`report runs/NAME` finds the newest run, also of a config that names no folder."""
    config = write(PRUNING.format(dense=1, cycles=1, to="0"))
    Path("mine").mkdir()
    Path(config).rename("mine/wide.yaml")
    main(["fit", "--config=mine/wide.yaml", *QUICK])
    main(["report", "runs/wide"])
    assert Path("runs/wide/version_0/report/cycles.csv").exists()
    main(["fit", "--config=mine/wide.yaml", "--trainer.logger.name=other", *QUICK])
    assert Path("runs/other/version_0/metrics.csv").exists()
    main(["fit", "--config", "digits/lr_rewind", "--trainer.max_epochs=1", "--pruning.cycles=1", "--pruning.retrain=1ep",
          "--policy=FineTune", *QUICK])  # fmt: skip
    main(["report", "runs/digits/lr_rewind"])
    assert [path.name for path in Path("runs").iterdir() if path.name.startswith("version_")] == []


def test_an_empty_misspelt_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no `modell`. Did you mean `model`?" in failure(capsys, "fit", f"--config={write('modell: {}')}")


def test_faults_are_never_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        raise ValueError("a fault in the user's own code")

    monkeypatch.setattr("lightning_prune.lab.LeNet300100.forward", broken)
    with pytest.raises(ValueError, match="a fault in the user's own code"):
        main(["fit", "--trainer.max_epochs=1", *QUICK])


def raised(code: str, function: str = "f") -> BaseException:
    """The error of a function in a file of somebody else."""
    names = {"UserError": UserError, "MisconfigurationException": MisconfigurationException}
    try:
        exec(compile(f"def {function}(): {code}\n{function}()", "somebody/elses.py", "exec"), names)
    except Exception as error:
        return error
    raise AssertionError(code)


def test_only_what_is_said_to_the_user_is_a_refusal() -> None:
    """A fault in the program looks the same from outside, and shows its traceback."""
    assert cli.refusal(raised("raise UserError('give 1')")) == "give 1"
    assert cli.refusal(raised("raise MisconfigurationException('no GPU')")) == "no GPU"
    for fault in (
        "raise ValueError('a fault')",
        "raise OSError('a fault')",
        "int('x')",
        "{}['key']",
        "open('no/such')",
    ):
        assert cli.refusal(raised(fault)) is None, fault


def test_an_own_class_refuses_with_any_value_error() -> None:
    """A class of the user knows no UserError. While it is made, a `raise` is a refusal, and a slip is not."""
    for function in ("instantiate_classes", "configure_optimizers"):
        assert cli.refusal(raised("raise ValueError('lr=-1')", function)) == "lr=-1"
        assert cli.refusal(raised("raise OSError('no such file')", function)) == "no such file"
        assert cli.refusal(raised("int('x')", function)) is None
        assert cli.refusal(raised("open('no/such/file')", function)) is None


def test_a_fault_in_the_package_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: object) -> None:
        raise ValueError("a fault in the package")

    monkeypatch.setattr("lightning_prune.ablation.report.runs_command.main", broken)
    with pytest.raises(ValueError, match="a fault in the package"):
        main(["report", "runs"])


def test_a_missing_run_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert "runs/none does not exist" in failure(capsys, "report", "runs/none")


def test_a_missing_extra_is_one_message(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "rich" else object())
    assert "rich not installed. `fit` needs the `cli` extra: pip install 'lightning-prune[cli]'" in failure(
        capsys, "fit"
    )
    assert "`ablate` needs the `studies` extra: pip install 'lightning-prune[studies]'" in failure(capsys, "ablate")


@pytest.mark.parametrize("module", ["lightning_prune", "lightning_prune.cli"])
def test_the_module_is_the_command(module: str) -> None:
    ended = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.strip()) == (0, f"lightning-prune {__version__}")


def test_a_resumed_pruning_run_reports_as_an_uninterrupted_one(capsys: pytest.CaptureFixture[str]) -> None:
    quick = [f"--config={write(PRUNING.format(dense=2, cycles=3, to='1ep'))}", *QUICK]
    main(["fit", "--trainer.logger.name=whole", *quick])
    with pytest.raises(SystemExit):  # how Lightning ends a run on Ctrl-C
        main(["fit", *quick, "--trainer.logger.name=parts", "--trainer.callbacks+=test_cli.Interrupt"])
    assert json.loads(Path("runs/parts/version_0/pruning.json").read_text())["finished"] is False
    words = capsys.readouterr().err.split("lightning-prune ")[-1].split("\n")[0]
    assert "--ckpt_path=runs/parts/version_0/checkpoints/last.ckpt" in words
    main([word for word in shlex.split(words) if "Interrupt" not in word])
    main(["report", "runs/whole", "runs/parts"])
    cycles = pd.read_csv("report/cycles.csv").drop(columns="seconds").set_index("run")
    whole, parts = (cycles.loc[name].reset_index(drop=True) for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, parts)
    assert len(whole) == 4
    assert "Not finished" not in capsys.readouterr().out


class Interrupt(Callback):
    """Stands for Ctrl-C in the second cycle."""

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.current_epoch == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"cycles": -1}, "IterativePruning(cycles=-1) must be"),
        ({"to": "9ep"}, "9ep"),
        ({"to": "soon"}, "WeightRewind(to='soon'"),
    ],
)
def test_bad_pruning_is_one_message(
    capsys: pytest.CaptureFixture[str], change: dict[str, object], complaint: str
) -> None:
    config = write(PRUNING.format(**{"dense": 2, "cycles": 3, "to": "1ep", **change}))
    printed = failure(capsys, "fit", f"--config={config}", "--trainer.enable_model_summary=false", *QUICK)
    message = next(line for line in printed.splitlines() if line.startswith("lightning-prune fit: error: "))
    assert complaint in message
    assert "Traceback" not in printed


def test_a_misspelt_pruning_argument_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    config = write(PRUNING.format(dense=2, cycles=3, to="1ep").replace("retrain", "retain"))
    assert "there is no `retain`. Did you mean `retrain`?" in failure(capsys, "fit", f"--config={config}")


def every_step(path: str) -> dict[int, str]:
    """Unroll the run lengths."""
    coded = table(path)
    held = [(row, range(int(row["step"]), int(after["step"]))) for row, after in pairwise(coded)]
    return {step: row["lr-SGD"] for row, steps in held for step in steps} | {
        int(coded[-1]["step"]): coded[-1]["lr-SGD"]
    }


RATES = """
trainer:
  callbacks:
    - {class_path: IterativePruning, init_args: {cycles: 2, retrain: 2ep}}
    - {class_path: lightning_prune.OneCycleRetrain}
"""


def test_every_rate_is_written_and_a_resumed_run_writes_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--config={write(RATES)}", "--trainer.max_epochs=2", *QUICK]
    main(["fit", *words, "--trainer.logger.version=whole", "--trainer.callbacks+=test_cli.Rates"])
    seen = import_module("test_cli").Rates.seen  # the module that the class path names, which is not this one
    assert every_step("runs/config/whole/rates.csv") == {step: repr(rate) for step, rate in seen.items()}
    assert len(seen) == 24
    coded = [int(row["step"]) for row in table("runs/config/whole/rates.csv")]
    assert coded[0] == 0
    assert coded[1] >= 8  # one row for the whole dense training
    assert coded[-1] == 23
    with pytest.raises(SystemExit):
        main(["fit", *words, "--trainer.logger.version=parts", "--trainer.callbacks+=test_cli.Interrupt"])
    last = "--ckpt_path=runs/config/parts/checkpoints/last.ckpt"
    main(["fit", "--trainer.logger.version=parts", last, *words])
    assert every_step("runs/config/parts/rates.csv") == every_step("runs/config/whole/rates.csv")


class Rates(Callback):
    """Remembers the rate of every step."""

    seen: ClassVar[dict[int, float]] = {}

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        self.seen[trainer.global_step - 1] = trainer.optimizers[0].param_groups[0]["lr"]
