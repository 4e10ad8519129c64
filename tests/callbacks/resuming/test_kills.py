"""A run that is killed (SIGKILL) at any moment, any number of times, ends as the run that was not."""

import random
from itertools import pairwise

import pytest
import torch
from supervisor import Fresh, Warm, epochs, finish, kill_once, last_epoch, steps
from toys import equal

pytest.importorskip("torchdata", reason="torchdata is in the dev extra")
STEPS_PER_EPOCH = 3


@pytest.mark.parametrize(
    ("start", "policy", "kills"),
    [
        (Warm, "weights", 3),
        pytest.param(Warm, "rate", 25, marks=pytest.mark.slow),
        pytest.param(Warm, "weights", 25, marks=pytest.mark.slow),
        pytest.param(Warm, "one-cycle", 25, marks=pytest.mark.slow),
        pytest.param(Warm, "small", 15, marks=pytest.mark.slow),
        pytest.param(Fresh, "weights", 6, marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_again_and_again_ends_as_the_one_that_was_not(start, policy, kills, tmp_path, record_property):
    trainer = start()
    try:
        finish(trainer, tmp_path / "whole", policy)
        survived = attempt = 0
        draw = random.Random(f"{policy} {kills}")
        while survived < kills:
            folder, killed = tmp_path / f"killed {attempt}".replace(" ", "-"), True
            while killed and survived < kills:
                killed = kill_once(trainer, folder, policy, draw)
                survived += killed
            finish(trainer, folder, policy)
            compare(tmp_path / "whole", folder)
            attempt += 1
    finally:
        trainer.close()
    record_property("kills survived", survived)
    print(f"{survived} kills survived in {attempt} runs")  # noqa: T201
    assert survived == kills


def compare(whole, killed):
    expected, entries = steps(whole), steps(killed)
    assert [entry["step"] for entry in expected] == list(range(1, len(expected) + 1))
    assert max(entry["zeros"] for entry in expected) > 0 or expected[-1]["size"] < expected[0]["size"]
    by_step = {entry["step"]: entry for entry in expected}
    for entry in entries:  # in every process, also where one trains again what another one has trained
        assert {**entry, "process": 0} == {**by_step[entry["step"]], "process": 0}
    assert {entry["step"] for entry in entries} == by_step.keys()
    one, other = (torch.load(folder / "result.pt", weights_only=True) for folder in (whole, killed))
    for part in one:
        assert equal(one[part], other[part]), part
    one, other = (last_epoch(folder) for folder in (whole, killed))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert equal(one[part], other[part]), part
    assert equal(masks(one), masks(other))
    compare_logs(epochs(whole), epochs(killed), entries)


def masks(checkpoint):
    state = checkpoint["callbacks"]["IterativePruning"]
    return {"masks": state["masks"], "position": state["position"]}


def compare_logs(expected, logged, entries):
    """Every epoch's row is the same. A row is missing only where a process was killed before Lightning wrote it."""
    assert [row["pruning/cycle"] for row in expected.values()][-1] == 3
    for epoch, row in logged.items():
        assert row == expected[epoch], epoch
    ends = {one["step"] for one, other in pairwise(entries) if one["process"] != other["process"]}
    for epoch in expected.keys() - logged.keys():
        assert (epoch + 1) * STEPS_PER_EPOCH in ends, epoch
