"""What fails says so and stops nothing else; a full disk stops everything and loses nothing."""

import resource

import pytest
from killed_studies import assert_same, finished, processes, small

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.training.failures import DiskFull, why_full

FAILING = {
    "bad value": (
        {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": "3it"}}, "retrain": "5it"},
        "retrain",
    ),
    "exception": ({"callbacks": "faulty.Raising"}, "KeyError: 'my own mistake'"),
    "scores": ({"criterion": "faulty.not_a_number"}, "not_a_number"),
}


def test_a_failed_arm_is_in_the_table_and_stops_no_other(tmp_path):
    arms = {name: changes for name, (changes, _) in FAILING.items()}
    ablation = Ablation.from_config(small({**arms, "good": {}}))
    frame = ablation.run(tmp_path, workers=0, every=0, errors="keep")
    for name, (_, said) in FAILING.items():
        errors = frame[frame["arm"] == name]["error"].dropna().tolist()
        assert len(errors) == 1, name
        assert said in errors[0]
        assert "\n" not in errors[0]
    good = frame[frame["arm"] == "good"]
    assert good["error"].isna().all()
    assert good["cycle"].tolist() == [0, 1]
    assert len(ablation.failures()) == len(FAILING)


def test_a_metric_that_is_not_logged_is_an_error_that_says_what_was(tmp_path):
    frame = Ablation.from_config(small({"a": {}}, metric="val/acuracy")).run(tmp_path, workers=0, errors="keep")
    (error,) = frame["error"].dropna()
    assert "Ablation(metric='val/acuracy') was not logged. Did you mean 'val/accuracy'?" in error
    assert "val/loss" in error


def limited(config, out, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # a file that grows beyond it cannot be written
    try:
        Ablation.from_config(config).run(out, workers=0, every=0)
    except DiskFull as error:
        out.joinpath("said").write_text(str(error)[: size // 2])
        raise SystemExit(7) from error


@pytest.mark.slow
def test_a_full_disk_loses_nothing_finished_and_says_what_to_do(tmp_path):
    config, out = small({"a": {}, "wide": {"network": {"width": 400}}}), tmp_path / "out"
    whole = Ablation.from_config(config).run(tmp_path / "whole", workers=0, every=0)
    largest = {
        arm: max(path.stat().st_size for path in tmp_path.glob(f"whole/nodes/*{key[:12]}/*.ckpt"))
        for arm, key in whole.groupby("arm")["node"].first().items()
    }
    limit = largest["wide"] - 1000
    assert largest["a"] < limit
    process = processes().Process(target=limited, args=(config, out, limit))
    process.start()
    process.join()
    assert process.exitcode == 7
    said = (out / "said").read_text()
    assert str(out) in said
    assert "free some space" in said
    assert f"what is in {out / 'running'} may be deleted" in said
    assert "same command again" in said
    before = finished(out)
    assert before, "the small arm was finished"
    frame = Ablation.from_config(config).run(out, workers=0, every=0)
    assert {name: finished(out)[name] for name in before} == before
    assert_same(frame, out, whole, tmp_path / "whole")


def test_what_torch_says_of_a_full_disk_is_understood(tmp_path, monkeypatch):
    def save():
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")

    with pytest.raises(RuntimeError) as caught:
        save()
    assert why_full(caught.value, tmp_path) == "No space left on device"
    assert why_full(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), tmp_path) is None
    bare = RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")
    assert why_full(bare, tmp_path) is None
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert why_full(bare, tmp_path) is not None
