"""An arm that takes the masks of another one: what it comes to is what it comes to alone, and nothing is trained twice."""

import shutil

import pytest
import torch
import yaml
from exact_arms import alone, assert_exact
from killed_studies import COUNT, assert_same, epochs_counted, killed, small
from rich.console import Console
from studies import study

from lightning_prune.ablation import Ablation
from lightning_prune.ablation.config.arms import read_arms
from lightning_prune.ablation.running.arm_steps import candidate

TICKET = {"callbacks": {"class_path": "WeightRewind", "init_args": {"to": 0}}, "retrain": None}
FRESH = {"callbacks": "Reinitialize", "retrain": None}
CONTROL = {**FRESH, "masks_from": "ticket"}


def shuffled(shuffle, run="ticket", **others):
    init_args = {"run": run, "shuffle": shuffle}
    return {**TICKET, "masks_from": {"class_path": "lightning_prune.Recorded", "init_args": init_args}, **others}


def runs_of(arms, **others):
    return Ablation.from_config(study(arms, **others)).runs


def keys(arms, **others):
    return {(run.arm, run.seed): [node.key for node in run.nodes()] for run in runs_of(arms, **others)}


def masks_in(out, frame, arm):
    """The masks of every cycle of an arm, packed."""
    found = []
    for name in frame[(frame["arm"] == arm) & (frame["cycle"] > 0)]["checkpoint"].dropna():
        saved = torch.load(out / name, weights_only=True)["callbacks"]
        found.append(next(state["masks"] for state in saved.values() if "masks" in state))
    return found


def test_controls_follow_the_ticket_bit_for_bit_as_they_do_alone(tmp_path):
    frame = assert_exact(tmp_path, {"control": CONTROL, "ticket": TICKET, "random": shuffled("globally")})
    ticket, control, random = (masks_in(tmp_path / "out", frame, arm) for arm in ("ticket", "control", "random"))
    for cycle in range(2):
        assert ticket[cycle].keys() == control[cycle].keys()
        assert all(torch.equal(mask, control[cycle][name]) for name, mask in ticket[cycle].items())
        assert not all(torch.equal(mask, random[cycle][name]) for name, mask in ticket[cycle].items())
    assert frame[frame["cycle"] == 0]["node"].nunique() == 1
    densities = frame[frame["arm"] != "first"].groupby("cycle")["density"].nunique()
    assert densities.tolist() == [1, 1, 1]


UNDIVIDED = {"trainer": {"max_epochs": -1, "max_steps": 15}, "retrain": "8it"}


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [{"retrain": "5it"}, pytest.param(UNDIVIDED, marks=pytest.mark.slow)])
def test_masks_of_cycles_in_one_node_are_followed_too(tmp_path, lengths):
    ticket = {"callbacks": "FineTune", **lengths}
    control = {"callbacks": ["Reinitialize", "FineTune"], "masks_from": "ticket", **lengths}
    frame = assert_exact(tmp_path, {"ticket": ticket, "control": control})
    assert frame[frame["arm"] == "control"]["cycle"].tolist() == [0, 1, 2]
    mine, theirs = (masks_in(tmp_path / "out", frame, arm) for arm in ("control", "ticket"))
    assert all(torch.equal(mine[-1][name], mask) for name, mask in theirs[-1].items())


@pytest.mark.slow
def test_an_arm_that_follows_is_known_by_the_masks_it_takes_and_not_by_the_name_of_the_arm():
    first = keys({"ticket": TICKET, "control": CONTROL})
    renamed = keys({"imp": TICKET, "control": {**CONTROL, "masks_from": "imp"}})
    assert first["control", 0] == renamed["control", 0]
    others = keys({"ticket": {**TICKET, "optimizer.lr": 0.05}, "control": CONTROL})
    assert first["control", 0][0] == others["control", 0][0] == first["ticket", 0][0]
    assert not set(first["control", 0][1:]) & set(others["control", 0][1:])
    assert first["control", 0][1:] != keys({"ticket": TICKET, "control": FRESH})["control", 0][1:]
    kinds = {str(one): shuffled(one) for one in ("layerwise", "globally", "even", None)}
    found = keys({"ticket": TICKET, "control": CONTROL, **kinds}, seeds=[0, 1])
    assert len({found[one, 0][1] for one in kinds}) == 4
    assert found["control", 0] == first["control", 0] != found["control", 1]


def test_more_cycles_of_both_keep_what_was_trained():
    levels = {"sparsity": {"class_path": "lightning_prune.schedules.Levels", "init_args": {"levels": [0.2, 0.4, 0.6]}}}
    short = {"sparsity": {"class_path": "lightning_prune.schedules.Levels", "init_args": {"levels": [0.2, 0.4]}}}
    two, three = (
        keys({"ticket": {**TICKET, **more}, "control": {**CONTROL, **more}})["control", 0]
        for more in (short, {**levels, "cycles": 3})
    )
    assert three[:3] == two


@pytest.mark.slow
def test_a_grid_of_the_study_crosses_both_and_the_tree_says_whose_masks_an_arm_takes():
    arms = [arm.crossed for arm in read_arms({"a": {"grid": {"x": [1]}}, "b": None}, {"y": [2, 3]})]
    assert arms == ["y=2", "y=3", "y=2", "y=3"]
    ablation = Ablation.from_config(study({"ticket": TICKET, "control": CONTROL}, grid={"network.width": [8, 9]}))
    led = {run.arm: run.leader.arm for run in ablation.runs if run.leader}
    assert led == {f"control network.width={width}": f"ticket network.width={width}" for width in (8, 9)}
    console = Console(width=140)
    with console.capture() as said:
        console.print(ablation.tree())
    assert "control network.width=9, masks of ticket network.width=9" in said.get()


def test_a_search_may_follow_an_arm():
    search = {
        **CONTROL,
        "callbacks": ["Reinitialize", "DenseScheduleRestart"],
        "search": {"draw": ["once", "every-cycle"]},
    }
    (ticket, searching) = runs_of({"ticket": TICKET, "searching": search})
    dense, first, second = searching.nodes()
    assert [node.name for node in ticket.nodes()[1:]] == [file.split("/")[0] for file in second.masks]
    stretch = searching.resolved.stretches[1]
    tried = [candidate(searching, stretch, dense, {"draw": draw}) for draw in ("once", "every-cycle")]
    assert {node.masks for node in tried} == {first.masks}
    assert len({node.key for node in tried}) == 2


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"control": {**CONTROL, "masks_from": "tiket"}}, r"arm 'control': `masks_from: tiket` is neither an arm of this study nor a path\. Did you mean 'ticket'"),
        ({"control": {**CONTROL, "cycles": 3}}, r"arm 'control' has 3 cycles and follows the masks of 'ticket', which has 2"),
        ({"control": {**CONTROL, "sparsity": {"class_path": "lightning_prune.OneShot", "init_args": {"final": 0.5}}}}, r"asks for sparsity 0\.5 in cycle 1, and 'ticket', whose masks it follows, for 0\.2"),
        ({"control": {**CONTROL, "network.width": 8}}, r"arm 'control' prunes another network than 'ticket', whose masks it follows: network\.layers\.1\.weight, network\.layers\.5\.weight"),
        ({"control": CONTROL, "second": {**CONTROL, "masks_from": "control"}}, r"arm 'second' follows the masks of 'control', which follows masks itself"),
        ({"searching": {"search": {"lr": [0.1, 0.2]}, "callbacks": "FineTune"}, "control": {**CONTROL, "masks_from": "searching"}}, r"which is a search"),
        ({"control": {**CONTROL, "masks_from": "."}}, r"arm 'control': IterativePruning\(masks_from='\.'\) has no masks of cycle 1, 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_before_anything_is_trained(arms, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        runs_of({"ticket": TICKET, **arms})


def test_an_arm_whose_leader_fails_says_so_and_keeps_what_it_could_do(tmp_path):
    failing = {**TICKET, "callbacks": [TICKET["callbacks"], "faulty.Raising"]}
    frame = Ablation.from_config(study({"ticket": failing, "control": CONTROL, "good": {}})).run(
        tmp_path, workers=0, errors="keep"
    )
    error = frame[frame["arm"] == "control"]["error"].dropna().item()
    assert error.startswith("arm 'ticket', whose masks it follows, failed: ")
    assert frame[frame["arm"] == "good"]["error"].isna().all()


def record(folder):
    """A run of the same network by itself, recorded."""
    config = study({})["base"]
    callbacks = config["trainer"]["callbacks"]
    callbacks.append({"class_path": "lightning_prune.CycleCheckpoint", "init_args": {"dirpath": str(folder)}})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "seed_everything": 3}))
    alone(folder, folder / "config.yaml")
    return str(folder)


@pytest.mark.slow
def test_a_run_that_was_recorded_before_the_study_is_known_by_its_masks(tmp_path):
    here = record(tmp_path / "here")
    moved = str(shutil.copytree(here, tmp_path / "moved"))
    (tmp_path / "moved" / "notes.txt").write_text("found it")
    fresh = {**FRESH, "masks_from": here}
    first = keys({"a": {}, "control": fresh})
    assert first["a", 0][0] == first["control", 0][0], "the dense run is shared"
    assert first["control", 0] == keys({"control": {**FRESH, "masks_from": moved}})["control", 0]
    assert_exact(tmp_path, {"control": fresh})


@pytest.mark.slow
def test_a_study_that_is_killed_where_one_follows_goes_on_as_if_it_had_not_been(tmp_path):
    config = small({"ticket": {**TICKET, "cycles": 2}, "control": {**CONTROL, "cycles": 2}})
    whole = Ablation.from_config(config).run(tmp_path / "whole", workers=0)
    killed(config, tmp_path / "out", name="last.ckpt", times=6)
    count = tmp_path / "count"
    frame = run_counted(config, tmp_path / "out", count)
    assert_same(frame, tmp_path / "out", whole, tmp_path / "whole")
    assert 0 < len(epochs_counted(count)) < 10, "two of dense training, and two arms of two cycles of two"


def run_counted(config, out, count):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(COUNT, str(count))
        return Ablation.from_config(config).run(out, workers=0)
