"""How much of a study is missing, by its plan: an interrupted record knows the next nodes only, not those behind them."""

import json

import pandas as pd
import pytest
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.report import headline
from lightning_prune.ablation.report.reported_study import Study
from lightning_prune.ablation.results.study_json import write_record
from lightning_prune.ablation.results.table import table_of
from lightning_prune.ablation.running.loop import Running
from lightning_prune.ablation.storage.folders import Store

POLICY = {"class_path": "SILOSchedule", "init_args": {"low": 0.1, "rise": 0.0}}
ARMS = {"fine": {}, "rewind": {"callbacks": "LRRewind"}, "search": {"callbacks": POLICY, "search": {"low": [0.1, 0.2]}}}
PLANNED = 2 * (1 + 2 + 2 + 2 * 2)  # per seed: the dense run, two cycles of two arms, two tries in each cycle of one


@pytest.fixture
def made(tmp_path) -> tuple[Ablation, Running]:
    ablation = Ablation.from_config(study(ARMS, seeds=[0, 1]))
    return ablation, Running(Store(tmp_path), ablation.runs, None, 0.0)


def notes(folder, ablation: Ablation, running: Running) -> list[str]:
    write_record(folder, ablation.config, "lightning-prune ablate", running)
    facts = json.loads((folder / "study.json").read_text())
    table = table_of(running, ".").astype({"density": float, "error": object})
    return headline.notes(Study(folder, facts, pd.DataFrame(table)))


def test_what_is_missing_is_counted_by_the_plan(tmp_path, made):
    ablation, running = made
    assert f"The study is not finished: {PLANNED} nodes of {PLANNED} to go." in notes(tmp_path, ablation, running)


def test_what_is_done_and_what_can_never_be_trained_is_not_to_go(tmp_path, made):
    ablation, running = made
    dense = {course.run.seed: course.waiting[0].key for course in running.courses}
    running.results[dense[0]] = {
        "epochs": 3,
        "seconds": 1.0,
        "rows": [],
        "hardware": "",
        "version": "",
        "lightning": "",
        "torch": "",
    }
    assert running.to_go() == PLANNED - 1
    running.failed[dense[1]] = "RuntimeError: out of memory"
    running.advance()
    assert running.to_go() == PLANNED // 2 - 1, "nothing comes after the dense run that failed"
    said = [note for note in notes(tmp_path, ablation, running) if "not finished" in note]
    assert said == [f"The study is not finished: {PLANNED // 2 - 1} nodes of {PLANNED} to go."]
    for course in running.courses:
        course.waiting = []
    assert running.to_go() == 0
    assert not [note for note in notes(tmp_path, ablation, running) if "not finished" in note]


def test_a_record_of_an_older_version_does_not_say_how_many_there_are(tmp_path, made):
    ablation, running = made
    notes(tmp_path, ablation, running)
    facts = json.loads((tmp_path / "study.json").read_text())
    del facts["to_go"], facts["planned"]
    said = headline.notes(Study(tmp_path, facts, table_of(running, ".")))
    assert "The study is not finished: at least 2 nodes to go." in said
