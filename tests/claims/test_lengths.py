"""What the configs and the claims say in words about lengths and densities is what the configs train."""

import math
import re

import pytest
from study_files import ROOT, SIZES, STUDIES, as_if_trained, clock_of, read, studies_of_topic

from benchmarks.claims import studies
from benchmarks.claims.claim import budgets_of, densities_of
from benchmarks.claims.listed_peaks import ListedPeaks
from benchmarks.claims.page import HEAD
from benchmarks.claims.reversed_s import ReversedS
from lightning_prune import Cycle, SILOSchedule

pytestmark = pytest.mark.usefixtures("in_the_repository")
IMAGES = {"Digits": 1437, "CIFAR10": 50_000}  # to train and validate on


def epochs(text: str) -> int:
    return int(text.removesuffix("ep"))


def dense(study) -> int:
    return study.base["trainer"]["max_epochs"]


def retrained(study, arm) -> int:
    return epochs(arm.changes.get("pruning.retrain", clock_of(study).get("retrain")))


def steps_of_an_epoch(study) -> int:
    data, limit = study.base["data"], study.base["trainer"].get("limit_train_batches", math.inf)
    given = data["init_args"]
    images = IMAGES[data["class_path"].rpartition(".")[2]] * (1 - given["validation"])
    return min(math.ceil(min(images, given.get("subset", images)) / given["batch_size"]), limit)


def left_at_the_end(study, changes: dict) -> float:
    given = changes.get("pruning.sparsity", clock_of(study)["sparsity"])["init_args"]
    if "fraction" in given:
        return (1 - given["fraction"]) ** changes.get("pruning.cycles", clock_of(study)["cycles"])
    return 1 - changes.get("pruning.sparsity.final", given["levels"][-1] if "levels" in given else given.get("final"))


@pytest.mark.parametrize(("size", "name"), studies_of_topic("budgets"))
def test_the_budgets_are_the_fractions_of_the_dense_run_that_the_page_tells(size, name):
    study = read(name, size)
    told = ["3.33 %", "10 %", "26.7 %"] if name.endswith("plateau") else ["2.5 %", "5 %", "10 %", "25 %"]
    assert list(budgets_of(as_if_trained(study)).values()) == told
    *first, last = [one.removesuffix(" %") for one in told]
    assert f"{', '.join(first)} and {last} % of the dense run" in studies.config_of(name, size).read_text()
    assert left_at_the_end(study, {}) == pytest.approx(0.107)


@pytest.mark.parametrize(("size", "name"), studies_of_topic("rewinding"))
def test_rewinders_go_back_as_far_as_they_are_retrained_to_about_a_tenth_of_the_weights(size, name):
    study = read(name, size)
    (said,) = re.findall(r"for (\d+) % of the dense run", studies.config_of(name, size).read_text())
    for arm in study.arms:
        assert retrained(study, arm) / dense(study) == int(said) / 100
        left = 1 if arm.name.endswith("unpruned") else 0.107
        assert left_at_the_end(study, arm.changes) == pytest.approx(left, abs=0.001), "compared at one density"
        given = arm.changes.get("start", arm.changes.get("policy"))
        assert given == "FineTune" or epochs(given["init_args"]["to"]) == dense(study) - retrained(study, arm)


@pytest.mark.parametrize(("size", "name"), studies_of_topic("tickets"))
def test_a_ticket_is_rewound_to_where_its_name_says_and_trained_for_the_whole_dense_run(size, name):
    study = read(name, size)
    for arm in study.arms:
        assert retrained(study, arm) == dense(study)
        if arm.name.startswith("rewound"):
            to, per_epoch = str(arm.changes["start"]["init_args"]["to"]), steps_of_an_epoch(study)
            steps = epochs(to) * per_epoch if to.endswith("ep") else int(to.removesuffix("it"))
            said = int(re.search(r"to (\d+) %", arm.name)[1])
            assert 100 * steps / (dense(study) * per_epoch) == pytest.approx(said, abs=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_tickets_are_compared_with_many_weights_and_with_few(size):
    tables = [as_if_trained(read(name, one)) for one, name in studies_of_topic("tickets") if one == size]
    assert {left for table in tables for left in densities_of(table).values()} == {"20 % left", "5 % left"}


@pytest.mark.parametrize(("size", "name"), studies_of_topic("random"))
def test_what_is_pruned_is_compared_at_a_quarter_of_the_dense_run(size, name):
    study = read(name, size)
    assert {retrained(study, arm) / dense(study) for arm in study.arms} == {0.25}
    assert "for 25 % of the dense run" in studies.config_of(name, size).read_text()


@pytest.mark.parametrize(("size", "name"), studies_of_topic("restarts"))
def test_full_restarts_differ_only_in_the_weights_they_start_on(size, name):
    study = read(name, size)
    full, rewound = study.arms
    rewind = rewound.changes["start"]
    assert {**full.changes, "start": rewind} == rewound.changes
    assert (retrained(study, full), epochs(rewind["init_args"]["to"])) == (dense(study), dense(study) / 10)


@pytest.mark.parametrize(("size", "name"), studies_of_topic("silo"))
def test_the_controls_of_silo_have_its_lowest_and_highest_peak(size, name):
    peaks = {arm.name: arm.changes["policy"] for arm in read(name, size).arms}
    low, rise = (peaks["SILO"]["init_args"][key] for key in ("low", "rise"))
    assert peaks["low peak"]["init_args"]["max_lr"] == low
    assert peaks["high peak"]["init_args"]["max_lr"] == pytest.approx(low + rise)
    assert peaks["reversed S"]["init_args"] == {"high": pytest.approx(low + rise), "fall": rise}


def test_with_nothing_pruned_every_arm_of_silo_has_the_peaks_that_it_has_with_pruning():
    study = read("silo_plateau", "cpu")
    policies = {arm.name: arm.changes["policy"] for arm in study.arms}
    levels = [
        0.0,
        *next(arm for arm in study.arms if arm.name == "SILO").changes["pruning.sparsity"]["init_args"]["levels"],
    ]
    cycles = [Cycle(index, 0, 1, levels[index]) for index in range(1, 5)]
    for name, cls in {"SILO": SILOSchedule, "reversed S": ReversedS}.items():
        peaks = cls(**policies[name]["init_args"]).peaks
        own = [peaks.at(one, lambda number: 1 - levels[number]) for one in cycles]
        listed = policies[f"{name}, unpruned"]["init_args"]["peaks"]
        assert listed == pytest.approx(own, rel=2e-3)
        listed_policy = ListedPeaks(listed)
        assert [listed_policy.highest(one) for one in cycles] == listed
    for name in ("low peak", "high peak"):
        assert policies[f"{name}, unpruned"] == policies[name]
    with pytest.raises(ValueError, match=r"ListedPeaks\(peaks=\[0\.1\]\) has no peak for cycle 2"):
        ListedPeaks([0.1]).highest(cycles[1])
    with pytest.raises(ValueError, match=r"peaks\[1\]"):
        ListedPeaks([0.1, 0.0])


@pytest.mark.parametrize("size", SIZES)
def test_what_a_base_config_says_is_left_is_left(size):
    for path in sorted((ROOT / "configs/claims" / size).glob("*.yaml")):
        for said in re.findall(r"# ([\d.]+) % are left", path.read_text()):
            study = read(next(name for one, name in STUDIES if one == size and name.endswith(path.stem)), size)
            assert 100 * left_at_the_end(study, {}) == pytest.approx(float(said), abs=0.5)


@pytest.mark.parametrize("name", ["budgets_digits", "budgets_resnet8", "restarts_wide"])
def test_the_page_says_how_many_steps_the_small_networks_take(name):
    study = read(name, "cpu")
    assert f" {dense(study) * steps_of_an_epoch(study):,}" in HEAD
