"""What users write that is not what they mean: said, and not silently something else."""

import pytest
from studies import BASE, study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.arm_changes import changed


@pytest.mark.parametrize(
    ("callbacks", "names"),
    [
        (["FineTune", "LRRewind"], "FineTune and LRRewind"),
        ([{"class_path": "WeightRewind", "init_args": {"to": 0}}, "Reinitialize"], "WeightRewind and Reinitialize"),
    ],
)
def test_an_arm_with_two_callbacks_for_one_place_is_refused(callbacks, names):
    with pytest.raises(ValueError, match=rf"arm 'two': {names} would take each other's place: keep one"):
        Ablation.from_config(study({"two": {"callbacks": callbacks}})).runs  # noqa: B018


def test_two_checkpoints_of_an_arm_are_both_kept_and_take_the_place_of_the_bases():
    checkpoint = "lightning.pytorch.callbacks.ModelCheckpoint"
    two = [{"class_path": checkpoint, "init_args": {"filename": name}} for name in ("a", "b")]
    base = {"trainer": {"callbacks": [{"class_path": checkpoint, "init_args": {"filename": "base"}}]}}
    found = changed(base, {"callbacks": two}, "arm")["trainer"]["callbacks"]
    assert [one["init_args"]["filename"] for one in found] == ["a", "b"]


def test_paths_may_be_written_as_in_the_base():
    one = changed(BASE, {"model.init_args.label_smoothing": 0.1}, "arm")
    assert one == changed(BASE, {"model.label_smoothing": 0.1}, "arm")
    with pytest.raises(
        ValueError, match=r"`model.class_path` would keep the arguments of another class. Write `model:"
    ):
        changed(BASE, {"model.class_path": "mine.Net"}, "arm")


def test_short_names_of_lightnings_callbacks_are_known_as_in_fit():
    found = changed(BASE, {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}]}, "arm")
    assert found["trainer"]["callbacks"][-1]["class_path"] == "lightning.pytorch.callbacks.EarlyStopping"
    left = changed(found, {"without": "EarlyStopping"}, "arm")
    assert left["trainer"]["callbacks"] == changed(BASE, {}, "arm")["trainer"]["callbacks"]


def test_a_misspelt_part_of_the_base_is_one_sentence_without_the_parsers_errors():
    given = study({"one": {}})
    given["base"]["modle"] = "studies.Net"
    with pytest.raises(ValueError, match=r"There is no `modle`. Did you mean `model`\?") as refused:
        Ablation.from_config(given).runs  # noqa: B018
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(("wrong", "meant"), [("modle", "model"), ("traner", "trainer"), ("dta", "data")])
def test_a_misspelt_top_level_key_of_the_base_is_mended_and_not_what_stands_below_it(wrong, meant):
    given = study({"one": {}})
    given["base"][wrong] = given["base"].pop(meant)
    with pytest.raises(ValueError, match=rf"There is no `{wrong}`. Did you mean `{meant}`\?"):
        Ablation.from_config(given).runs  # noqa: B018


def test_a_policy_without_pruning_is_refused_before_anything_is_trained():
    given = study({"one": {"callbacks": "LRRewind"}})
    given["base"]["trainer"]["callbacks"] = []
    with pytest.raises(ValueError, match="arm 'one': LRRewind does nothing without IterativePruning"):
        Ablation.from_config(given).runs  # noqa: B018


def test_a_generator_that_no_checkpoint_holds_is_pointed_out(tmp_path):
    data = {"class_path": "studies.DrawingAlone", "init_args": {"subset": 100}}
    with pytest.warns(UserWarning, match=r"DataLoader.generator.*starts afresh in every node"):
        Ablation.from_config(study({"one": {"data": data, "cycles": 1}})).run(tmp_path / "out", workers=0)


def test_more_arms_and_more_seeds_need_no_force(tmp_path):
    arms = {"one": {"cycles": 1}}
    Ablation.from_config(study(arms)).run(tmp_path / "out", workers=0)
    more = study({**arms, "two": {"cycles": 1, "callbacks": "ConstantRate"}}, seeds=[0, 1])
    frame = Ablation.from_config(more).run(tmp_path / "out", workers=0)
    assert frame.groupby(["arm", "seed"]).ngroups == 4
    with pytest.raises(ValueError, match="arms.two: gone"):
        Ablation.from_config(study(arms)).run(tmp_path / "out", workers=0)


def test_what_was_not_tested_is_compared_by_validation(tmp_path):
    given = study({"one": {}, "two": {"callbacks": "ConstantRate"}}, seeds=[0, 1])
    ablation = Ablation.from_config(given)
    frame = ablation.run(tmp_path / "out", workers=0)
    frame["test_last"] = None
    ablation.frame = lambda: frame
    compared = ablation.compare("one", "two")
    assert compared["mean_a"].notna().all()
    assert (ablation.summary()["seeds"] == 2).all()


def test_arms_that_come_to_the_same_are_pointed_out():
    arms = {"one": {}, "two": {"callbacks": "FineTune"}, "three": {"cycles": 2}, "other": {"cycles": 1}}
    with pytest.warns(UserWarning, match=r"'one' and 'two' and 'three' come to the same config, are trained once"):
        Ablation.from_config(study(arms, seeds=2)).tree()
