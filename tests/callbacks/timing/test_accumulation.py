"""Windows of accumulation that change with the epoch: cycles have as many steps as they are going to have."""

import pytest
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from toys import Images
from watched import LIVING, Streams, alive, check, every_policy, run

from lightning_prune import LRRewind

SCHEDULINGS = {  # optimizer steps of the dense run and of each cycle
    "in the dense run": ({2: 2}, 18, [6, 6]),
    "where the cycles begin": ({4: 2}, 24, [6, 6]),
    "within a cycle": ({5: 2}, 24, [9, 6]),
    "between the cycles, and down": ({0: 4, 6: 1}, 8, [4, 12]),
}


@pytest.mark.parametrize(
    "scheduling", [pytest.param(name, marks=[pytest.mark.slow] * (name == "in the dense run")) for name in SCHEDULINGS]
)
@every_policy
def test_windows_that_change_with_the_epoch_make_cycles_of_their_own_length(policy, scheduling):
    epochs, dense, lengths = SCHEDULINGS[scheduling]
    trainer, rates, watch = trained = run(policy, beside=[GradientAccumulationScheduler(epochs)])
    if policy == "one cycle":
        check(policy, trained, dense, lengths)
    assert [cycle.steps for cycle in watch.cycles] == lengths
    assert trainer.global_step == dense + sum(lengths)
    assert alive(trainer.lightning_module) == LIVING[-1]
    if policy == "rewind":
        span = {8: 4, 18: 6, 24: 12}[dense]  # the last two dense epochs
        for start, length in zip((dense, dense + lengths[0]), lengths, strict=True):
            replay = rates[start : start + length]
            check_replay(replay, rates[dense - span : dense])
            if length != 9:  # epochs of the same length, by position
                assert replay == [rates[dense - span + step * span // length] for step in range(length)]


def check_replay(replay, dense):
    """Whether it goes from the first rate of a stretch of the dense run to its last epoch, without a way back."""
    assert replay[0] == dense[0]
    assert replay[-1] in dense[-(len(dense) // 4) :]
    assert replay == sorted(replay, reverse=True)
    assert set(replay) <= set(dense)


def test_a_rewind_to_an_epoch_replays_epochs_of_different_lengths_to_the_end():
    scheduler = GradientAccumulationScheduler({2: 2, 4: 1})
    _, rates, _ = run(lambda: LRRewind("1ep"), "3ep", beside=[scheduler])
    check_replay(rates[18:36], rates[6:18])
    assert rates[35] == rates[17]


def test_windows_from_the_start_count_where_epochs_are_steps():
    trained = run("rewind", beside=[GradientAccumulationScheduler({0: 2})], max_epochs=None, max_steps=12)
    check("rewind", trained, 12, [6, 6])
    both = run("rewind", "6it", beside=[GradientAccumulationScheduler({0: 2})], max_epochs=4, max_steps=20)
    check("rewind", both, 12, [6, 6])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (Images, {"max_epochs": None, "max_steps": 12}, "mixes epochs and steps.*GradientAccumulationScheduler changes it"),
        (Streams, {}, r"GradientAccumulationScheduler\(scheduling=.*cannot tell how many steps a cycle of retrain='2ep'"),
    ],
)  # fmt: skip
def test_windows_that_leave_a_length_unknown_are_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        run("rewind", data=data(), beside=[GradientAccumulationScheduler({1: 2})], **options)
