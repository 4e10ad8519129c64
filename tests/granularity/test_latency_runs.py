"""Budgets of time in a fit: one table for the whole run, exact resume, what is written down, and what is refused."""

import json

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from structured import structured
from test_structures_runs import Keep, pruning
from toys import equal, fit

from lightning_prune import Filters, Latency, Levels, LRRewind, OneShot, Shrink, Structures, UserError, Weights, prune
from lightning_prune.callbacks.gathering import latency_in_fit
from lightning_prune.callbacks.masking import reached_latency
from lightning_prune.deployment.profiling.width_table import measure_living, measure_widths
from lightning_prune.granularity.interpolation import Curve
from lightning_prune.granularity.latency_table import LatencyTable

SHARES = {"net.stem.0": 0.3, "net.body.0.first": 0.2, "net.head.1": 0.3}


class Bench:
    """Stands for the measuring: gives a table, and counts how often it is asked."""

    def __init__(self, noise=0.0):
        self.asked, self.noise, self.ends = [], noise, 0

    def measure_widths(self, module, call, groups, latency):
        self.asked.append((call.inputs[0].shape[0], latency.threads))
        self.noise += 0.013  # no two measurements are the same
        widths = {name: group.width for name, group in groups.items()}
        shares = {name: SHARES.get(name, 0.02) for name in widths}
        low = 0.1 + self.noise
        alone = {name: {name: Curve((1, width), (low, 1.0))} for name, width in widths.items()}
        return LatencyTable(
            latency, 1.0, shares, alone, dict.fromkeys(widths, 0.0), widths, Curve((0.0, 1.0), (0.0, 1.0))
        )

    def measure_living(self, module, call, groups, alive, latency):
        self.ends += 1
        assert any(one.role == "statistic" for group in groups.values() for one in group.slices)
        assert all(not bool(one.all()) for one in alive.values())
        return 0.010, 0.006


@pytest.fixture
def bench(monkeypatch):
    made = Bench()
    monkeypatch.setattr(latency_in_fit, "measure_widths", made.measure_widths)
    monkeypatch.setattr(latency_in_fit, "measure_living", made.measure_living)
    return made


@pytest.mark.parametrize("measure", ["latency", Latency(batch=3, threads=2)])
def test_the_table_is_measured_once_and_a_resumed_run_is_the_same_bit_for_bit(measure, bench, tmp_path):
    whole = fit(
        [pruning(measure=measure), LRRewind(), Keep(tmp_path / "a.ckpt", epoch=1), Keep(tmp_path / "b.ckpt", epoch=3)],
        structured(),
        max_epochs=2,
    )
    asked = [(3, 2)] if isinstance(measure, Latency) else [(1, 1)]
    assert bench.asked == asked
    clock = whole.callbacks[0]
    assert clock.measured_sparsity == pytest.approx(0.5, abs=0.06)
    for name in ("a", "b"):  # before the first prune, and between two
        again = fit(
            [pruning(measure=measure), LRRewind()], structured(), ckpt_path=tmp_path / f"{name}.ckpt", max_epochs=2
        )
        assert bench.asked == asked
        assert equal(dict(again.lightning_module.state_dict()), dict(whole.lightning_module.state_dict()))
        assert equal(again.callbacks[0].masks, clock.masks)
        assert again.callbacks[0].state_dict()["latency"] == clock.state_dict()["latency"]


def test_table_and_what_was_reached_are_written_and_printed(bench, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(reached_latency, "rank_zero_info", said.append)
    logger = CSVLogger(tmp_path, name="run", version=0)
    clock = pruning(measure="latency", cycles=1, sparsity=OneShot(0.4))
    fit([clock], structured(), max_epochs=1, logger=logger)
    record = json.loads((tmp_path / "run/version_0/pruning.json").read_text())
    assert record["latency"] == clock.state_dict()["latency"]
    reached = record["latency_reached"]
    assert (reached["whole"], reached["left"], reached["ratio"]) == (0.010, 0.006, 0.6)
    assert reached["estimate"] == pytest.approx(1 - clock.measured_sparsity)
    assert bench.ends == 1
    (line,) = said
    assert "takes 10 ms with all units and 6 ms without the dead ones (batch 1, threads 1): x 0.60." in line


def test_what_was_reached_is_measured_of_the_whole_network_where_cycles_train_a_small_one(bench, monkeypatch):
    shapes = []

    def living(module, call, groups, alive, latency):
        shapes.append([one.shape for one in module.parameters()])
        return measure_living(module, call, groups, alive, latency)

    monkeypatch.setattr(latency_in_fit, "measure_living", living)
    clock = pruning(measure=Latency(rounds=1), cycles=2, sparsity=Levels([0.2, 0.4]))
    done = fit([clock, Shrink(at="cycles")], structured(), max_epochs=1).lightning_module
    assert shapes == [[one.shape for one in structured().parameters()]]
    assert [one.shape for one in done.parameters()] != shapes[0]
    assert clock.measured_sparsity == pytest.approx(0.4, abs=0.06)


def test_other_measures_have_no_table(tmp_path):
    clock = pruning(cycles=1, sparsity=OneShot(0.4), measure="flops")
    fit([clock], structured(), max_epochs=1)
    assert "latency" not in clock.state_dict()


@pytest.mark.parametrize("example", [False, True])
def test_measuring_changes_nothing_of_the_dense_run(example, monkeypatch):
    measured = []

    def measure(*given):  # really, but decide by a table without noise
        measured.append(measure_widths(*given))
        return Bench().measure_widths(*given)

    monkeypatch.setattr(latency_in_fit, "measure_widths", measure)
    seen, module = {}, structured(example=example)

    def note():
        if module.trainer.current_epoch == 1:
            seen.update({name: one.clone() for name, one in module.state_dict().items()})

    module.on_train_epoch_end = note
    clock, small = pruning(cycles=1, sparsity=OneShot(0.4), measure=Latency(batch=2, rounds=1)), Shrink()
    fit([clock, small], module, max_epochs=2)
    dense = fit([], structured(example=example), max_epochs=2).lightning_module
    assert equal(seen, dict(dense.state_dict()))
    assert small.shrunk.parameters[1] < small.shrunk.parameters[0]
    (table,) = measured
    assert table.whole > 0
    assert set(table.alone) == set(table.widths) == set(clock.state_dict()["latency"]["widths"])


def test_a_table_of_other_settings_or_groups_is_not_taken_over(bench, tmp_path):
    fit([pruning(measure="latency"), Keep(tmp_path / "a.ckpt", epoch=1)], structured(), max_epochs=2)
    with pytest.raises(UserError, match="measure: the checkpoint has 'latency', this run 'Latency"):
        fit([pruning(measure=Latency(batch=2))], structured(), ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    state = saved["callbacks"]["IterativePruning"]
    state["latency"]["alone"] = [1]
    torch.save(saved, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="latency/alone' is a list"):
        fit([pruning(measure="latency")], structured(), ckpt_path=tmp_path / "b.ckpt", max_epochs=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"granularity": Weights()}, "zeros take as long as other numbers. Give granularity=Structures"),
        ({"granularity": Filters(), "measure": Latency(batch=4)}, "measure=Latency\\(batch=4"),
        ({"measure": "latencies"}, "measure='latencies'\\) is unknown: give 'weights', .*or Latency\\(batch=1"),
        ({"measure": Latency}, "measure=Latency\\) is unknown"),
    ],
)
def test_what_has_no_time_of_its_own_is_refused(options, said):
    with pytest.raises(UserError, match=said):
        pruning(**{"measure": "latency", **options})


@pytest.mark.parametrize("measure", ["latency", Latency(batch=2)])
def test_without_a_fit_nothing_is_measured(measure):
    with pytest.raises(UserError, match="measures nothing without a fit: give measure='flops'"):
        prune(structured(example=True), 0.5, granularity=Structures(), measure=measure)


def test_a_budget_below_what_never_shrinks_is_refused(bench):
    with pytest.raises(UserError, match="The sparsity 0.95 cannot be reached.*measure='units'"):
        fit([pruning(measure="latency", cycles=1, sparsity=OneShot(0.95))], structured(), max_epochs=1)


def test_a_module_that_does_not_run_on_the_batch_size_says_so():
    module = structured(example=True)
    module.forward = lambda x: module.net(x.view(1, 1, 6, 6))
    with pytest.raises(UserError, match="measure='latency'\\) cannot run Structured on the example"):
        fit([pruning(measure=Latency(batch=3))], module, max_epochs=1)
