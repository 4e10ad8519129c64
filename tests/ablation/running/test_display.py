"""What a user sees while a study runs, and where its loggers write."""

import io
from dataclasses import replace

import pytest
import yaml
from rich.console import Console
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.command import main
from lightning_prune.ablation.running.study_progress import Outlook, Progress
from lightning_prune.ablation.training.job import Job
from lightning_prune.ablation.training.node_config import config_of


def shown(terminal, tmp_path):
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100)
    Ablation.from_config(study({"one": {"cycles": 1}})).run(tmp_path / "out", workers=0, console=console)
    return output.getvalue()


def test_a_terminal_shows_what_runs_and_how_much_is_left(tmp_path):
    text = shown(True, tmp_path)
    assert "0 of 2 nodes done, 1 running, 1 waiting, 5 of 5 epochs left" in text
    assert "seed=0-dense-" in text
    assert "1 of 2 nodes done, 1 running, 0 waiting, 2 of 5 epochs left" in text


def test_nothing_is_shown_where_there_is_no_terminal(tmp_path, capsys):
    assert shown(False, tmp_path) == ""
    assert capsys.readouterr().out == ""


def test_time_left_goes_by_what_was_trained_since_the_start():
    outlook = Outlook(8, ["a"], 10, 0, epochs_left=30, epochs=100, trained=10)
    assert outlook.words(20.0).endswith("30 of 100 epochs left, about 1:00")
    finished = Outlook(10, [], 10, 0, epochs_left=0, epochs=100, trained=0)
    assert "about" not in finished.words(0.0)


def test_progress_of_nothing_divides_by_nothing():
    with Progress(Console(file=io.StringIO(), force_terminal=True)) as progress:
        progress.show(Outlook(0, [], 0, 0, 0, 0, 0))


def test_a_dry_run_prints_the_tree_and_trains_nothing(tmp_path, capsys):
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study({"one": {}, "two": {"callbacks": "LRRewind", "retrain": None}}, seeds=2)))
    main(["--config", str(config), "--out", str(tmp_path / "out"), "--dry-run"])
    text = capsys.readouterr().out
    assert "dense: 3 epochs, shared by 2" in text
    assert "cycles 1-2: 4 epochs, one" in text
    assert "cycles 1-2: 6 epochs, two" in text
    assert "26 epochs for 32 of arms alone" in text
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:.*tensorboard.*")
def test_other_loggers_write_into_the_folder_of_their_node(tmp_path):
    logger = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": "elsewhere"}}
    given = study({"one": {"cycles": 1}})
    given["base"]["trainer"]["logger"] = logger
    frame = Ablation.from_config(given).run(tmp_path / "out", workers=0)
    assert frame["error"].isna().all()
    for node in (tmp_path / "out" / "nodes").iterdir():
        assert list(node.glob("events.out.tfevents.*")), node
        assert (node / "metrics.csv").is_file()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("logger", "named"), [("WandbLogger", ("name", "version")), ("MLFlowLogger", ("run_name",)), ("CometLogger", ())]
)
def test_a_service_shows_a_run_by_the_name_of_its_node(tmp_path, logger, named):
    given = study({"one": {}})
    node = Ablation.from_config(given).runs[0].nodes()[0]
    entry = {"class_path": f"lightning.pytorch.loggers.{logger}", "init_args": {"prefix": "mine"}}
    config = {**node.config, "trainer": {**node.config["trainer"], "logger": entry}}
    placed = config_of(Job(str(tmp_path), replace(node, config=config)), tmp_path / "running" / node.name)
    arguments = placed["trainer"]["logger"][1]["init_args"]
    assert arguments["prefix"] == "mine"
    assert {name for name, value in arguments.items() if value == node.name} == set(named)


def test_a_logger_does_not_change_what_is_trained(tmp_path):
    plain, logged = study({"one": {}}), study({"one": {}})
    logged["base"]["trainer"]["logger"] = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": "x"},
    }
    keys = [[node.key for node in Ablation.from_config(one).runs[0].nodes()] for one in (plain, logged)]
    assert keys[0] == keys[1]
