"""Which folder holds the nodes of a study: what cannot be meant is said before anything is made."""

import json

import pytest
from killed_studies import small
from made_up_study import write_study

from lightning_prune import __version__
from lightning_prune.ablation import Ablation
from lightning_prune.ablation.report.headline import notes
from lightning_prune.ablation.report.read_study import read_study
from lightning_prune.ablation.storage.shared_store import choose_store, seen_from


@pytest.fixture
def study():
    return Ablation.from_config(small({"a": {}}))


@pytest.fixture
def record(study):
    """Write the record of the study, with a store or without."""

    def write(out, **store):
        out.mkdir()
        (out / "study.json").write_text(json.dumps({"version": __version__, "config": study.config.given, **store}))
        return out

    return write


def everything(folder):
    return sorted(folder.rglob("*"))


def test_another_store_than_the_last_time_is_refused(tmp_path, study, record):
    shared, own = record(tmp_path / "shared", store="../store"), record(tmp_path / "own")
    (tmp_path / "store").mkdir()
    before = everything(tmp_path)
    for out, store, known in ((shared, tmp_path / "new", "store"), (shared, shared, "store"), (own, "store", "own")):
        said = rf"`store=.*` \(--store\): the study in {out} keeps its nodes in {tmp_path / known}\. .* force=True \(--force\)"
        with pytest.raises(ValueError, match=said):
            study.run(out, workers=0, store=store)
    assert everything(tmp_path) == before


def test_the_store_of_the_last_time_may_be_given_again(tmp_path, record, monkeypatch):
    shared, own = record(tmp_path / "shared", store="../store"), record(tmp_path / "own")
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(tmp_path)
    assert choose_store(shared, None, False).samefile("store")
    assert choose_store(shared, "store", False).samefile("store")
    assert choose_store(own, None, False) == choose_store(own, "own", False) == own


def test_a_store_that_is_gone_is_said_and_not_made_anew(tmp_path, study, record):
    out = record(tmp_path / "out", store="../store")
    with pytest.raises(ValueError, match=r"out keeps its nodes in .*store, which is not there\. Put it back .*--force"):
        study.run(out, workers=0)
    assert not (tmp_path / "store").exists()
    assert choose_store(out, None, True) == tmp_path / "store"


def test_the_folder_of_a_study_whose_nodes_are_elsewhere_is_no_store(tmp_path, study, record):
    other = record(tmp_path / "other", store="../store")
    said = rf"`store={other}` \(--store\) is the folder of a study that keeps its nodes in {tmp_path / 'store'}\. Give that one"
    with pytest.raises(ValueError, match=said):
        study.run(tmp_path / "out", workers=0, store=other)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_store(tmp_path, study):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`store=.*file` \(--store\) is a file\. Give a folder"):
        study.run(tmp_path / "out", workers=0, store=tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_with_force_a_damaged_record_names_no_store(tmp_path):
    for text in ("{", "[]"):
        (tmp_path / "study.json").write_text(text)
        assert choose_store(tmp_path, None, force=True) == tmp_path
        assert choose_store(tmp_path, tmp_path / "store", force=True) == tmp_path / "store"


def test_the_report_says_that_the_store_is_gone(tmp_path):
    write_study(tmp_path / "out", {"rewind": "rr"}, failed=None, search=())
    facts = json.loads((tmp_path / "out" / "study.json").read_text())
    (tmp_path / "out" / "study.json").write_text(json.dumps({**facts, "store": "../store"}))
    assert any("store of its nodes" in one and "is not there" in one for one in notes(read_study(tmp_path / "out")))
    (tmp_path / "store").mkdir()
    assert not any("is not there" in one for one in notes(read_study(tmp_path / "out")))


def test_paths_to_the_store_hold_where_a_study_is_reached_by_a_link(tmp_path):
    (tmp_path / "disk" / "study").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "study").symlink_to(tmp_path / "disk" / "study")
    found = tmp_path / "study" / seen_from(tmp_path / "study", tmp_path / "store")
    assert found.samefile(tmp_path / "store")
