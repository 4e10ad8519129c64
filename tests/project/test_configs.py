import inspect
import json
import re
import socket
from pathlib import Path

import pytest
import yaml
from short_configs import shortened

import lightning_prune
from lightning_prune import IterativePruning
from lightning_prune.cli import main
from lightning_prune.lab.cli.command_line import CommandLine

ROOT = Path(lightning_prune.__file__).parents[1] / "configs"
CONFIGS = [path for path in sorted(ROOT.glob("*/*.yaml")) if path.parent.name not in ("ablations", "regimes")]
DIGITS = sorted(ROOT.glob("digits/*.yaml"))


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_a_config_becomes_objects_and_its_dump_parses_back(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("A config was instantiated, and something was downloaded.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    command = CommandLine([f"--config={config}"], run=False)
    assert any(isinstance(callback, IterativePruning) for callback in command.trainer.callbacks)
    assert command.trainer.logger.log_dir == f"runs/{name_of(config)}/version_0"
    dump = command.parser.dump(command.config)
    assert command.parser.dump(command.parser.parse_string(dump)) == dump


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_what_a_config_leaves_out_is_the_default_of_its_class(config: Path) -> None:
    command = CommandLine([f"--config={config}"], run=False)
    written = yaml.safe_load(config.read_text())
    for key, made in (("model", command.model), ("data", command.datamodule)):
        parameters = inspect.signature(type(made)).parameters.values()
        given = written[key]["init_args"]
        left_out = {one.name: one.default for one in parameters if one.name not in given}
        parsed = command.config[key].init_args
        assert {name: parsed[name] for name in left_out} == left_out
    if "transformers" not in config.parts:  # text is not shifted
        assert command.datamodule.augmentation.padding == (4 if "cifar10" in config.parts else 0)


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_a_config_is_short_and_says_what_it_is(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert 20 <= len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("# ")
    assert lines[1].startswith("# ")


def test_both_data_sets_have_the_same_variants() -> None:
    variants = {path.stem for path in ROOT.glob("cifar10/*.yaml")}
    assert variants == {path.stem for path in DIGITS}


@pytest.mark.filterwarnings("ignore:.*removes nothing in cycle 2")  # one shot, shortened to two cycles
@pytest.mark.parametrize("config", DIGITS, ids=name_of)
def test_a_digits_config_runs_and_reports(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"--trainer.logger.name=digits/{config.stem}"
    main(["fit", f"--config={shortened(config)}", name, "--trainer.enable_model_summary=false"])
    run = Path("runs", "digits", config.stem, "version_0")
    record = json.loads((run / "pruning.json").read_text())
    assert record["finished"]
    whole_units = config.stem == "structures"  # whose operations come as near to it as eight channels allow
    assert record["cycles"][-1]["sparsity"] == pytest.approx(0.36, abs=0.02 if whole_units else 1e-6)
    printed = capsys.readouterr().out
    assert re.search(r"dense · val/accuracy \d+\.\d % · ", printed)
    assert re.search(r"cycle \d/\d · sparsity 36\.\d % · val/accuracy \d+\.\d % · \d+\.\d s\n", printed)
    main(["report", str(run.parent)])
    assert {path.suffix for path in (run / "report").iterdir()} == {".csv", ".html", ".png", ".svg"}
