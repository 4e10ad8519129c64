"""A node that takes the place of an earlier one, of which another study may be going on: never missing, never halved."""

import json
from pathlib import Path

import pytest

from lightning_prune.ablation.sharing.node import Node
from lightning_prune.ablation.storage.folders import JOB, RESULT, Store

NOTES = {"old": {}, "new": {}}
WHOLE = dict.fromkeys(("epochs", "seconds", "version", "lightning", "torch", "hardware"))
ROW = dict.fromkeys(("cycle", "epochs", "metric", "val_last", "val_best"))


@pytest.fixture
def twice(tmp_path):
    """A node in its place, and once more as it is when it has been trained again for the sake of other notes."""
    store = Store(tmp_path)
    node = Node("0123456789abcdef", None, seed=0, first=0, last=0, whole=False, epochs=2, config={}, notes=NOTES)
    for place, notes in ((store.folder(node), ["old"]), (store.work(node), ["old", "new"])):
        (place / "events").mkdir(parents=True)
        for name in ("last.ckpt", "metrics.csv", "events/first"):
            (place / name).write_text(str(notes))
        saved = {name: {} for name in notes}
        (place / RESULT).write_text(json.dumps({**WHOLE, "rows": [ROW], "notes": saved}))
        (place / JOB).write_text(json.dumps({"node": {"notes": saved}}))
    return store, node


@pytest.mark.parametrize("times", range(6))
def test_a_node_that_takes_the_place_of_another_is_never_missing(twice, monkeypatch, times):
    store, node = twice
    rename, done = Path.replace, []

    def replace_some(path, target):
        assert (store.folder(node) / "last.ckpt").is_file()
        if len(done) == times:
            raise KeyboardInterrupt
        done.append(target)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace_some)
    try:
        store.publish(node)
    except KeyboardInterrupt:
        monkeypatch.undo()
        if store.result(node) is None:
            assert store.take_up(node).notes.keys() == NOTES.keys()
            assert (store.work(node) / RESULT).is_file(), "it is whole, and not trained a third time"
            store.publish(node)
    assert store.result(node)["notes"].keys() == NOTES.keys()
    assert {path.read_text() for path in store.folder(node).glob("*[tv]")} == {"['old', 'new']"}
    assert (store.folder(node) / "events" / "first").read_text() == "['old', 'new']"
