"""Long tapes are packed in a checkpoint, and every bit comes back."""

import math

import numpy as np
import pytest
import torch

from lightning_prune.callbacks.policies.packed_numbers import pack_columns, unpack_columns
from lightning_prune.callbacks.policies.tape import Rate, Tape

STEPS = 20_000


def cosine(step):
    return 0.05 * (1 + math.cos(math.pi * step / STEPS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
@pytest.mark.parametrize("columns", [1, 3])
def test_any_bits_come_back(columns, dtype):
    bits = torch.from_numpy(np.random.default_rng(0).integers(-(2**63), 2**63 - 1, (1000, columns)))
    again = unpack_columns(pack_columns(bits.view(dtype)), columns, dtype)
    assert torch.equal(again.view(torch.int64), bits)


@pytest.mark.parametrize("rate", [cosine, lambda step: 0.1 * (1 - step / STEPS), lambda step: 0.1 * 0.9999**step])
def test_a_schedule_takes_at_most_two_bytes_a_step_and_replays_the_same_bits(rate):
    tape = Tape()
    tape.begin_epoch(0, 0)
    for step in range(STEPS):
        tape.record(step, (Rate(rate(step), 0.9), *[Rate(rate(step) / 3, math.nan)] * (step > STEPS // 2)))
    state = tape.state_dict()
    assert sum(
        value.numel() * value.element_size() for value in (state["starts"], state["groups"], state["rates"])
    ) <= (2 * 2 * STEPS)
    again = Tape()
    again.load_state_dict(state)
    assert (again.length, again.epochs) == (STEPS, [0])
    for step in range(STEPS):
        assert [one.lr.hex() for one in again.at(step)] == [one.lr.hex() for one in tape.at(step)]
        assert [str(one.momentum) for one in again.at(step)] == [str(one.momentum) for one in tape.at(step)]


def test_a_tape_of_a_checkpoint_from_before_is_loaded():
    rows = [[[cosine(step), 0.9]] for step in range(STEPS)]
    old = {
        "length": STEPS,
        "epochs": torch.tensor([0]),
        "starts": torch.arange(STEPS),
        "groups": torch.ones(STEPS, dtype=torch.int64),
        "rates": torch.tensor(rows, dtype=torch.float64),
    }
    tape = Tape()
    tape.load_state_dict(old)
    assert [tape.at(step)[0].lr for step in range(STEPS)] == [row[0][0] for row in rows]
