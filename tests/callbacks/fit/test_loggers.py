"""What the loggers hold of a run, read back from their files: the rates, the cycles and the sparsities that were."""

import json
from pathlib import Path

import pandas
import pytest
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toys import toy
from watched import LIVING, each_step, every_policy, run

SIZES = {"net.0.weight": 36, "net.4.weight": 640, "net.7.weight": 30}


def from_csv(folder):
    """The steps and the values of every series."""
    metrics = pandas.read_csv(Path(folder) / "metrics.csv")
    return {name: metrics.dropna(subset=[name])[["step", name]].values.tolist() for name in metrics if name != "step"}


def from_events(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [[e.step, e.value] for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


LOGGERS = {"csv": (CSVLogger, from_csv), "tensorboard": (TensorBoardLogger, from_events)}
every_logger = pytest.mark.parametrize("logger", LOGGERS)


def logged(logger, folder, policy, interval, **options):
    """Train, and read back what was logged."""
    make, read = LOGGERS[logger]
    trainer, rates, watch = run(
        policy,
        beside=[LearningRateMonitor(logging_interval=interval, log_momentum=True)],
        logger=make(folder, name="", version="run"),
        log_every_n_steps=1,
        **options,
    )
    return read(folder / "run"), rates, watch, trainer


def values(series):
    return [value for _, value in series]


@every_logger
@every_policy
def test_the_rate_of_every_step_is_logged(policy, logger, tmp_path):
    series, rates, _, _ = logged(logger, tmp_path, policy, "step")
    assert [step for step, _ in series["lr-SGD"]] == list(range(48))
    assert values(series["lr-SGD"]) == pytest.approx(rates, rel=1e-6)
    assert values(series["lr-SGD-momentum"]) == pytest.approx([0.9] * 48)


@every_logger
def test_the_first_rate_of_every_epoch_is_logged(logger, tmp_path):
    series, rates, _, _ = logged(logger, tmp_path, "one cycle", "epoch")
    assert values(series["lr-SGD"]) == pytest.approx(rates[::6], rel=1e-6)


@every_logger
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 4}, {"limit_train_batches": 4}])
def test_cycles_sparsities_and_the_range_of_the_rates_are_logged(options, logger, tmp_path):
    series, rates, watch, trainer = logged(logger, tmp_path, "one cycle", "step", **options)
    per_epoch = trainer.global_step // 8
    ends = [per_epoch * (epoch + 1) - 1 for epoch in range(8)]
    cycles = [0, 0, 0, 0, 1, 1, 2, 2]
    assert series["pruning/cycle"] == [[step, cycle] for step, cycle in zip(ends, cycles, strict=True)]
    assert values(series["pruning/sparsity"]) == pytest.approx([1 - LIVING[c] / 706 for c in cycles], abs=1e-6)
    densities = {name: series[f"pruning/density/{name}"] for name in SIZES}
    for name, size in SIZES.items():
        assert [step for step, _ in densities[name]] == [cycle.first_step for cycle in watch.cycles]
        left = int(trainer.lightning_module.get_parameter(name).count_nonzero())
        assert densities[name][-1][1] == pytest.approx(left / size, abs=1e-6)
    counts = [sum(round(densities[name][cycle][1] * size) for name, size in SIZES.items()) for cycle in (0, 1)]
    assert counts == LIVING[1:]
    epochs = [rates[per_epoch * epoch : per_epoch * (epoch + 1)] for epoch in range(8)]
    assert values(series["pruning/lr_min"]) == pytest.approx([min(epoch) for epoch in epochs], rel=1e-5)
    assert values(series["pruning/lr_max"]) == pytest.approx([max(epoch) for epoch in epochs], rel=1e-5)


@every_logger
def test_the_rates_of_several_groups_are_logged_under_their_names(logger, tmp_path):
    module = toy(scheduler=each_step, groups=(1.0, 0.1))
    series, rates, _, _ = logged(logger, tmp_path, "rewind", "step", module=module)
    assert values(series["lr-SGD/pg1"]) == pytest.approx(rates, rel=1e-6)
    assert values(series["lr-SGD/pg2"]) == pytest.approx([rate / 10 for rate in rates], rel=1e-6)


def test_two_loggers_hold_the_same_and_the_record_lies_beside_the_first(tmp_path):
    loggers = [TensorBoardLogger(tmp_path, name="a", version="run"), CSVLogger(tmp_path, name="b", version="run")]
    run("rewind", beside=[LearningRateMonitor()], logger=loggers, log_every_n_steps=1)
    events, table = from_events(tmp_path / "a" / "run"), from_csv(tmp_path / "b" / "run")
    for name in ("lr-SGD", "pruning/cycle", "pruning/sparsity", "pruning/density/net.4.weight", "train_loss"):
        assert len(events[name]) == len(table[name]) > 0
        for event, row in zip(events[name], table[name], strict=True):
            assert event == pytest.approx(row, rel=1e-6)
    written = json.loads((tmp_path / "a" / "run" / "pruning.json").read_text())
    assert [sum(cycle["alive"].values()) for cycle in written["cycles"]] == LIVING[1:]
    assert written["finished"]
    assert not (tmp_path / "b" / "run" / "pruning.json").exists()
