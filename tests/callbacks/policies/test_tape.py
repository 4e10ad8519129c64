"""The recorded rates and the counters of a run, by hand-written numbers."""

import math
from types import SimpleNamespace

import torch

from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.policies.tape import Rate, Tape, read_rates, write_rates
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.schedules.durations import Duration


def taped(*rates):
    tape = Tape()
    for step, lr in enumerate(rates):
        tape.record(step, (Rate(lr, math.nan),))
    return tape


def test_a_step_that_is_repeated_is_written_over():
    tape = taped(0.1, 0.1, 0.2, 0.3)
    tape.record(2, (Rate(0.5, math.nan),))
    assert tape.length == 3
    assert [tape.at(step)[0].lr for step in range(3)] == [0.1, 0.1, 0.5]
    tape.record(0, (Rate(0.7, math.nan),))
    assert (tape.length, tape.last[0].lr) == (1, 0.7)


def test_rates_that_are_taken_from_the_optimizers_are_those_that_were_read_and_recorded():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    optimizers = [torch.optim.SGD(weights[:1], lr=0.1, momentum=0.9), torch.optim.Adagrad(weights[1:2], lr=0.01)]
    taken, recorded = Tape(), Tape()
    changes = {3: (0, "lr", 0.05), 4: (0, "momentum", 0.5), 6: (1, "lr", 0.02), 7: (1, "lr", 0.01)}
    rows = []
    for step in [*range(6), 4, 5, 6, 7, 8]:  # steps 4 and 5 are made again, as after a step that overflowed
        if step in changes:
            place, name, value = changes[step]
            optimizers[place].param_groups[0][name] = value
        if step == 8:
            optimizers[1].add_param_group({"params": weights[2:], "lr": 0.3})
        rows.append(taken.record_from(optimizers, step))
        recorded.record(step, read_rates(optimizers))
        assert [str(taken.at(one)) for one in range(step + 1)] == [str(recorded.at(one)) for one in range(step + 1)]
    assert taken.length == recorded.length == 9
    assert rows[1] is rows[0], "what did not change is not read again"


def test_an_epoch_has_a_begin_wherever_it_lies():
    tape = taped(*[0.1] * 7)
    tape.begin_epoch(0, 0)
    tape.begin_epoch(1, 3)
    assert [tape.begin_of(epoch) for epoch in (-1, 0, 1, 2, 9)] == [0, 0, 3, 7, 7]


def test_equal_rows_are_stored_once_and_the_state_gives_back_every_bit():
    tape = taped(*[0.1] * 1000, 1 / 3, *[1e-30] * 1000)
    tape.record(2001, (Rate(0.1, 0.9), Rate(0.2, math.nan)))  # a group was added
    tape.begin_epoch(0, 0)
    tape.begin_epoch(1, 1000)
    tape.begin_epoch(1, 1500)
    state = tape.state_dict()
    assert state["rates"].numel() == 4 * 2 * 2
    again = Tape()
    again.load_state_dict(state)
    assert again.epochs == [0, 1000]
    assert again.length == 2002
    for step in (0, 999, 1000, 1001, 2000):
        assert again.at(step)[0].lr == tape.at(step)[0].lr
        assert len(again.at(step)) == 1
    assert again.last[0] == Rate(0.1, 0.9)
    assert again.peaks() == tape.peaks() == [1 / 3, 0.2]


def test_an_empty_tape_is_saved_and_loaded():
    again = Tape()
    again.load_state_dict(Tape().state_dict())
    assert again.length == 0
    assert again.peaks() == []


def test_rates_are_read_and_written_in_every_form_optimizers_have_them():
    weight = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    adam = torch.optim.Adam([weight], lr=torch.tensor(0.1), betas=(0.8, 0.99), foreach=False, capturable=True)
    plain = torch.optim.Adagrad([weight], lr=0.3)
    row = read_rates([sgd, adam, plain])
    assert [round(rate.lr, 6) for rate in row] == [0.1, 0.1, 0.3]
    assert [row[0].momentum, row[1].momentum] == [0.9, 0.8]
    assert math.isnan(row[2].momentum)
    lr = adam.param_groups[0]["lr"]
    write_rates([sgd, adam, plain], [Rate(0.5, 0.5), Rate(0.25, 0.5), Rate(0.125, math.nan)])
    assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]) == (0.5, 0.5)
    assert adam.param_groups[0]["lr"] is lr, "the tensor that the optimizer holds"
    assert (float(lr), adam.param_groups[0]["betas"]) == (0.25, (0.5, 0.99))
    assert plain.param_groups[0]["lr"] == 0.125


def test_a_position_saved_within_a_batch_counts_its_step():
    at = Position(step=5, cycle=Cycle(1, 3, 10, 0.5))
    at.note_step()
    at.note_step()
    again = Position()
    again.load(at.state_dict())
    assert (again.step, again.stepped, again.cycle) == (6, False, Cycle(1, 3, 10, 0.5))
    at.count_step()
    assert at.step == 6, "several optimizers in one batch make one step"


def test_the_epochs_of_the_plan_are_those_of_lightning_and_what_the_plan_is_ahead():
    at = Position(epoch=3, first_epoch=10)
    at.cut_short(Timeline(Duration(6, "ep"), Duration(5, "ep"), cycles=2))
    assert (at.scheduled_epoch, at.scheduled(13), at.trainer_epoch(5)) == (5, 5, 13), "epochs 4 and 5 are left out"
    assert at.reaches_with_epoch(Duration(6, "ep"))
    at.lengthen(Timeline(Duration(6, "ep"), Duration(5, "ep"), cycles=2), 7)
    assert at.epochs_ahead == -5, "a cycle that lasts longer lets the plan wait"
    assert at.trainer_epoch(at.scheduled(20)) == 20


def test_a_step_that_is_made_between_two_batches_is_counted_before_the_next():
    at = Position()
    at.note_step()
    at.look(SimpleNamespace(current_epoch=1, global_step=1), Duration(1, "ep"))
    assert (at.step, at.epoch_steps, at.epoch_start, at.dense_end) == (1, 1, 1, 1)


def test_a_phase_is_cut_short_where_it_is():
    timeline = Timeline(Duration(10, "ep"), Duration(5, "ep"), cycles=2)
    at = Position(epoch=3)
    at.cut_short(timeline)
    assert at.epochs_ahead == 6, "epochs 4 to 9 are left out"
    at.cut_short(timeline)
    assert at.epochs_ahead == 6, "twice in one epoch is once"
    at = Position(epoch=4, epochs_ahead=6, dense_end=8, cycle=Cycle(1, 8, 10, 0.5))
    at.cut_short(timeline)
    assert at.epochs_ahead == 10
    by_steps = Timeline(Duration(10, "ep"), Duration(50, "it"), cycles=2)
    at = Position(epoch=20, step=110, dense_end=100, cycle=Cycle(1, 100, 50, 0.5))
    at.cut_short(by_steps)
    assert by_steps.index(20, at.steps_since_dense) == 2
