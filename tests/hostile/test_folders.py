"""Folders of somebody else: reports read runs, studies and maps as data, and pages show what is in them as text."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from hostile_files import PICKLES
from made_up_study import write_study
from synthetic import write_run
from torchvision.datasets import utils

from lightning_prune.ablation.report.network_costs import network_costs
from lightning_prune.ablation.running.engines.trial import FILE, Trial, read_trial
from lightning_prune.ablation.storage.files import read_json
from lightning_prune.cli import main
from lightning_prune.lab import CIFAR10, CIFAR100
from lightning_prune.lab.report.read_run import read_run
from lightning_prune.lab.visible import refuse_unseen
from lightning_prune.regimes.study.regime_map import RegimeMap
from lightning_prune.regimes.study.rewind_points import Stability

SCRIPT = "</text></svg><script>document.title='run'</script><img src=x onerror=alert(1)>"
PLANTED = "model: {class_path: planted.Net}\ntrainer: {logger: {class_path: planted.Net}}\n"


def pairs(temperature="hot"):
    row = {"temperature": temperature, "density": 0.1, "seed": 0, "copy_a": 1, "copy_b": 2, "at": 0.5, "lmc": -0.1,
           "cka": 0.9, "train_error": 0.0, "val_error": 0.1, "error": 0.1}  # fmt: skip
    return pd.DataFrame([row, {**row, "temperature": "cold", "lmc": 0.0}, {**row, "temperature": "mild", "cka": 0.5}])


def test_the_map_of_regimes_shows_names_as_text(tmp_path):
    page = RegimeMap(SCRIPT, pairs(SCRIPT)).write(tmp_path)
    drawn = [page.read_text(), *(file.read_text() for file in page.parent.glob("*.svg"))]
    assert len(drawn) > 1
    assert not [text for text in drawn if "<script>document" in text or "<img src=x" in text]
    assert "&lt;script&gt;" in drawn[0]
    again = RegimeMap.read(tmp_path)
    assert again.name == SCRIPT
    assert again.pairs["temperature"].tolist() == [SCRIPT, "cold", "mild"]


@pytest.mark.parametrize("name", ["nan", "None", "007", "NA"])
def test_a_temperature_of_any_name_comes_back(tmp_path, name):
    RegimeMap("a", pairs(name)).pairs.to_csv(tmp_path / "regimes.csv", index=False)
    (tmp_path / "regimes.json").write_text(json.dumps({"name": "a", "tolerance": 0.1}))
    assert RegimeMap.read(tmp_path).pairs["temperature"][0] == name


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"name": 1, "tolerance": 0.1}', '{"name": "a", "tolerance": "x"}', "[" * 100_000]
)
@pytest.mark.parametrize("study", [RegimeMap, Stability])
def test_a_damaged_record_of_regimes_is_said(tmp_path, study, text):
    pairs().to_csv(tmp_path / "regimes.csv", index=False)
    pairs().assign(point="0ep").to_csv(tmp_path / "stability.csv", index=False)
    for name in ("regimes.json", "stability.json"):
        (tmp_path / name).write_text(text)
    if study is Stability and text == '{"name": 1, "tolerance": 0.1}':
        return
    with pytest.raises(ValueError, match=r"\.json is damaged.*[Rr]un the study again"):
        study.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as a table"),
        ("a,b\n1,2\n", "has no column"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
        ("temperature,density,seed,lmc,cka,error,val_error,train_error\nhot,0.1,0,x,1,1,1,1\n", "lmc holds more than num"),
        ("temperature,density,seed,lmc,cka,error,val_error,train_error\n", "is empty"),
    ],
)  # fmt: skip
def test_a_damaged_table_of_regimes_is_said(tmp_path, capsys, text, said):
    (tmp_path / "regimes.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "regimes.json").write_text(json.dumps({"name": "a", "tolerance": 0.1}))
    with pytest.raises(SystemExit) as ended:
        main(["regimes", "--advise", str(tmp_path)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_reports_make_nothing_of_the_configs_that_lie_in_runs_and_studies(tmp_path):
    """`report` is the one command that is safe on a folder of somebody else."""
    write_run(tmp_path / "run")
    write_study(tmp_path / "study", {"one": "rr", "two": "rr"}, failed=None, search=())
    (tmp_path / "planted.py").write_text("open('mark', 'w')\nclass Net: pass\n")
    for folder in (tmp_path, tmp_path / "run", tmp_path / "study"):
        (folder / "config.yaml").write_text(PLANTED)
        (folder / "sitecustomize.py").write_text("open('mark', 'w')\n")
    for file in (tmp_path / "study").rglob("*.yaml"):
        file.write_text(PLANTED)
    for words in (["report", "run"], ["report", "study"]):
        done = subprocess.run(
            [sys.executable, "-m", "lightning_prune.cli", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "text", ['{"timings": [{"this": {"minimum": "x"}}]}', "[" * 100_000, "[]", '{"timings": [1]}', "\0"]
)
def test_a_hostile_profile_is_left_out(tmp_path, text):
    run = tmp_path / "run"
    write_run(run)
    (run / "profile").mkdir()
    (run / "profile" / "profile.json").write_text(text)
    assert "milliseconds" not in network_costs({"a": read_run(run, "a")})


@pytest.mark.parametrize("tried", [{"1000000": 9e9}, {"0": 1.0}, {"-3": 1.0}, {"1": float("nan")}, [1], {"x": 1}])
def test_what_was_tried_starts_no_more_workers_than_are_allowed(tmp_path, tried):
    (tmp_path / FILE).write_text(json.dumps({"most": 4, "device": "cpu", "tried": tried}))
    assert read_trial(tmp_path, 4, "cpu") == Trial(4, "cpu")
    (tmp_path / FILE).write_text("[" * 100_000)
    assert read_trial(tmp_path, 4, "cpu") == Trial(4, "cpu")
    with pytest.raises(ValueError, match="is damaged"):
        read_json(tmp_path / FILE)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "@SUM(1)", "+cmd|' /C calc'!A0", "-2+3+cmd|'x'!A0", "  =1+1", '=HYPERLINK("a")']
)
def test_a_name_that_a_spreadsheet_would_run_is_refused(name):
    with pytest.raises(ValueError, match="begins as a formula"):
        refuse_unseen(name, "Ablation(arms)")


@pytest.mark.parametrize("name", ["+sam", "-5 epochs", "lr=0.1", "a=b|c", "x@y", "+0.1 warm-up"])
def test_other_names_are_taken(name):
    refuse_unseen(name, "Ablation(arms)")


def prepared(images):
    images.prepare_data()
    images.setup("fit")


@pytest.mark.parametrize("data", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("download", [False, True])
def test_data_that_is_not_the_published_one_is_neither_unpacked_nor_unpickled(tmp_path, monkeypatch, data, download):
    """CIFAR comes as pickles in a tar archive. Both are used only if their checksums are those of the publishers."""
    mark, root = tmp_path / "mark", tmp_path / "data"
    root.mkdir()
    dataset = data.dataset
    for name, _ in [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], "")]:
        path = root / dataset.base_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PICKLES["a plain pickle"](path, mark, {})
    with tarfile.open(root / dataset.filename, "w:gz") as file:
        file.add(__file__, arcname="../escaped.py")

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(utils, "_urlretrieve", offline)
    images = data(root=str(root), download=download)
    with pytest.raises(FileNotFoundError, match=f"{data.__name__}.*(could not download|no complete data set)"):
        prepared(images)
    assert not mark.exists()
    assert not (tmp_path / "escaped.py").exists()
    assert not Path("escaped.py").exists()
