"""What fails is raised or listed, in words that survive a terminal, with its traceback in a file."""

import sys

import pandas as pd
import pytest
import yaml
from killed_studies import small
from studies import Dropping, study

from lightning_prune.ablation import Ablation, RunsFailed
from lightning_prune.ablation.command import main
from lightning_prune.ablation.config.study_config import read_study


def test_failed_runs_are_raised_with_the_first_error_and_the_file_of_its_traceback(tmp_path):
    ablation = Ablation.from_config(small({"good": {}, "bad": {"callbacks": "faulty.Shouting"}}, seeds=[4]))
    said = r"1 of 2 runs failed\. The first is arm 'bad', seed 4: RuntimeError: lost \[/x\] in \\x1b\[31m"
    with pytest.raises(RunsFailed, match=said) as caught:
        ablation.run(tmp_path, workers=0)
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in str(caught.value)
    assert 'faulty.py", line' in log.read_text()
    assert str(caught.value.__cause__) == log.read_text()
    assert len(pd.read_parquet(tmp_path / "table.parquet").dropna(subset="val_last")) == 2, "the good arm is kept"
    kept = ablation.run(tmp_path, workers=0, errors="keep")
    assert kept["error"].notna().sum() == 1
    with pytest.raises(ValueError, match=r"Ablation\.run\(errors='ignore'\) is unknown. Give 'raise' or 'keep'"):
        ablation.run(tmp_path, workers=0, errors="ignore")


def test_the_traceback_of_an_earlier_attempt_goes_when_the_node_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("faulty.Raising.on_train_epoch_start", lambda *_: 1 / 0)
    ablation = Ablation.from_config(small({"bad": {"callbacks": "faulty.Raising"}}))
    with pytest.raises(RunsFailed, match="ZeroDivisionError"):
        ablation.run(tmp_path, workers=0)
    assert list((tmp_path / "logs").iterdir())
    monkeypatch.setattr("faulty.Raising.on_train_epoch_start", lambda *_: None)
    assert ablation.run(tmp_path, workers=0)["error"].isna().all()
    assert not list((tmp_path / "logs").iterdir())


def test_the_command_shows_names_and_errors_as_they_are_written(tmp_path, capsys):
    names = ["part [norm, bias]", "part [head]", "[/red]"]
    arms = {name: {"cycles": 1, "retrain": f"{index + 1}ep"} for index, name in enumerate(names)}
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study({**arms, "bad [/x]": {"callbacks": "faulty.Shouting"}})))
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(config), "--out", str(tmp_path / "out [b]"), "--workers=0"])
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert all(name in out for name in names)
    assert r"bad [/x], seed 0 failed: RuntimeError: lost [/x] in \x1b[31m[red]" in out
    (log,) = (tmp_path / "out [b]" / "logs").iterdir()
    assert str(log) in out
    assert "Traceback" not in out + err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arms": {"a\x07": {}}}, r"Ablation\(arms\): 'a\\x07' has a control character in it"),
        ({"arms": {"a": {"grid": {"trainer.x": ["\x1b[31m"]}}}}, r"'a trainer.x=\\x1b\[31m' has a control character"),
        ({"arms": {"\ud800": {}}}, r"'\\ud800' has half a character in it"),
        ({"name": "a\nb"}, r"Ablation\(name\): 'a\\nb' has a control character in it \('\\n'\)"),
    ],
)
def test_names_that_cannot_be_seen_are_refused_where_the_study_is_read(given, said):
    with pytest.raises(ValueError, match=said):
        read_study({**study({"a": {}}), **given})


def test_a_folder_whose_name_is_not_utf_8_is_refused_before_anything_is_trained(tmp_path):
    for places in ({"out": tmp_path / "\udcff"}, {"out": tmp_path / "out", "store": tmp_path / "\udcff"}):
        with pytest.raises(ValueError, match=r"`(out|store)=.*udcff` \(--(out|store)\): the name is not UTF-8"):
            Ablation.from_config(small()).run(workers=0, **places)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [None, 1])
def test_what_only_this_process_knows_is_not_given_to_others(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(sys.modules["__main__"], "Net", Dropping, raising=False)
    ablation = Ablation.from_config(small({"mine": {"network": {"class_path": "__main__.Net"}}}))
    with pytest.raises(ValueError, match=r"`__main__.Net` is defined in the program .* give `mine.Net`; .*workers=0"):
        ablation.run(tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()
    assert ablation.run(tmp_path / "out", workers=0)["error"].isna().all()


def test_an_object_of_the_program_itself_is_not_given_to_a_cluster_either(tmp_path):
    with pytest.raises(ValueError, match=r"`__main__.score` is defined in the program"):
        Ablation.from_config(small({"mine": {"criterion": "__main__.score"}})).run(tmp_path, engine="ray")
