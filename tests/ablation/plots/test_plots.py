"""`plot_run`, `plot_study` and `plot_masks` draw what was measured, and refuse what they cannot draw."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from made_up_study import write_study
from torch import nn
from toys import Images, toy

from lightning_prune import Geometric, IterativePruning, LRRewind, prune, structures_of
from lightning_prune.ablation.plots import plot_masks, plot_run, plot_study
from lightning_prune.basics.user_error import UserError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer with a finished run of a dense epoch and two cycles, and its pruning."""
    pruning = IterativePruning(cycles=2, retrain="1ep", sparsity=Geometric(fraction=0.5))
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path_factory.mktemp("runs"), name="mine"),
        callbacks=[pruning, LRRewind()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(toy(), datamodule=Images())
    return trainer, pruning


def panel(plot, name):
    return [(row["step"], row["value"]) for row in plot.rows if row["panel"] == name]


@pytest.mark.filterwarnings("ignore:LRRewind replays")
class TestRun:
    def test_the_density_falls_where_a_cycle_begins(self, trained):
        trainer, pruning = trained
        per_epoch = trainer.num_training_batches
        plot = plot_run(trainer)
        assert panel(plot, "cycle") == [(2 * per_epoch, 1), (3 * per_epoch, 2)]
        densities = panel(plot, "density")
        assert [step for step, _ in densities] == [0, 2 * per_epoch, 3 * per_epoch, 4 * per_epoch]
        assert [value for _, value in densities] == pytest.approx([1, 0.5, 0.25, 0.25], abs=0.01)
        assert densities[-1][1] == pytest.approx(1 - pruning.measured_sparsity, abs=1e-5)

    def test_rate_and_metric_are_those_that_were_logged(self, trained):
        trainer, _ = trained
        plot = plot_run(trainer.log_dir, metric="val_loss")
        logged = pd.read_csv(f"{trainer.log_dir}/metrics.csv").dropna(subset=["val_loss"])
        assert panel(plot, "val_loss") == [
            (int(step), pytest.approx(loss, rel=1e-5))
            for step, loss in zip(logged["step"], logged["val_loss"], strict=True)
        ]
        assert panel(plot, "learning rate")[0][1] == pytest.approx(trainer.optimizers[0].defaults["lr"])

    def test_two_runs_share_the_panels(self, trained, tmp_path):
        trainer, _ = trained
        copy = tmp_path / "other"
        copy.mkdir()
        (copy / "metrics.csv").write_bytes((Path(trainer.log_dir) / "metrics.csv").read_bytes())
        plot = plot_run(trainer, copy)
        assert {row["run"] for row in plot.rows} == {"mine", "other"}
        assert "other" in plot.svg

    def test_what_cannot_be_drawn_is_refused(self, trained, tmp_path):
        with pytest.raises(UserError, match=r"plot_run\(metric='val_los'\) was not logged.*Did you mean `val_loss`"):
            plot_run(trained[0], metric="val_los")
        with pytest.raises(FileNotFoundError, match="does not exist"):
            plot_run(tmp_path / "nowhere")
        with pytest.raises(UserError, match=r"Trainer\(logger=CSVLogger"):
            plot_run(Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, default_root_dir=tmp_path))


TABLE = pd.DataFrame(
    {
        "arm": ["a", "a", "b", "b"] * 2,
        "seed": [0, 1, 0, 1] * 2,
        "cycle": [0] * 4 + [1] * 4,
        "density": [1.0] * 4 + [0.1] * 4,
        "accuracy": [0.9, 0.92, 0.9, 0.92, 0.8, 0.82, 0.6, 0.66],
    }
)


class TestStudy:
    def test_a_table_is_drawn_as_means_with_intervals(self):
        rows = [row for row in plot_study(TABLE, metric="accuracy").rows if row["density"] == 0.1]
        assert {row["arm"]: row["mean"] for row in rows} == pytest.approx({"a": 0.81, "b": 0.63})
        (first,) = [row for row in rows if row["arm"] == "a"]
        half = 12.706 * 0.01  # Student's t of one degree of freedom times the standard error
        assert (first["low"], first["high"]) == pytest.approx((0.81 - half, 0.81 + half), abs=1e-4)

    def test_the_axis_reaches_to_arms_that_are_sparser_in_the_same_cycle(self):
        table = TABLE.assign(density=[1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
        x = plot_study(table, metric="accuracy").spec["layer"][0]["encoding"]["x"]
        low, high = x["scale"]["domain"]
        assert low < 0.01 < 1 < high
        assert x["axis"]["values"] == pytest.approx([1, 0.1, 0.01])

    def test_arms_of_nearly_one_density_share_a_tick(self):
        table = TABLE.assign(density=[1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.101, 0.101])
        x = plot_study(table, metric="accuracy").spec["layer"][0]["encoding"]["x"]
        assert x["axis"]["values"] == pytest.approx([1, 0.1005])

    def test_the_folder_of_a_study_is_drawn_by_the_column_that_is_asked_for(self, tmp_path):
        folder = write_study(tmp_path)
        table = pd.read_parquet(folder / "table.parquet")
        means = table.groupby(["arm", "cycle"])["val_best"].mean()
        rows = plot_study(folder, metric="val_best").rows
        assert {row["measure"] for row in rows} == {"val/accuracy, best epoch"}
        assert {(row["arm"], row["cycle"]): row["mean"] for row in rows} == pytest.approx(dict(means))
        assert {row["measure"] for row in plot_study(folder).rows} == {"test/accuracy, last epoch"}

    def test_differences_to_one_arm_are_paired_by_seed(self):
        rows = [row for row in plot_study(TABLE, metric="accuracy", against="a").rows if row["at"] == "10.0 %"]
        assert [(row["arm"], row["reference"]) for row in rows] == [("b", "a")]
        assert rows[0]["difference"] == pytest.approx((0.6 - 0.8 + 0.66 - 0.82) / 2)
        half = 12.7062 * 2  # points: the differences are -20 and -16
        low, high = -18 - half, -18 + half
        assert (rows[0]["interval"], rows[0]["mark"]) == (f"{low:.2f} points to +{high:.2f} points", "hollow")
        assert "against a" in plot_study(TABLE, metric="accuracy", against="a").svg

    def test_what_cannot_be_drawn_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"against='c'\) needs an arm with results.*a, b"):
            plot_study(TABLE, metric="accuracy", against="c")
        with pytest.raises(UserError, match=r"against='a'\) needs .* and another arm"):
            plot_study(TABLE[TABLE["arm"] == "a"], metric="accuracy", against="a")
        with pytest.raises(UserError, match=r"has no column density"):
            plot_study(TABLE.drop(columns="density"), metric="accuracy")
        with pytest.raises(UserError, match=r"needs metric="):
            plot_study(TABLE)
        with pytest.raises(UserError, match=r"plot_study\(list\)"):
            plot_study([1])
        with pytest.raises(FileNotFoundError, match=r"study\.json"):
            plot_study(tmp_path)


class TestMasks:
    def test_a_cell_is_the_share_of_living_weights(self):
        mask = torch.zeros(4, 6, dtype=torch.bool)
        mask[:2, :3] = True
        plot = plot_masks({"layer": mask}, cells=2)
        assert {(row["row"], row["column"]): row["density"] for row in plot.rows} == {
            (0, 0): 1.0,
            (0, 1): 0.0,
            (1, 0): 0.0,
            (1, 1): 0.0,
        }

    def test_a_network_is_drawn_by_its_zeros_and_a_convolution_by_its_outputs(self):
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2))
        masks = prune(network, 0.5)
        drawn = plot_masks(network)
        assert drawn.rows == plot_masks(masks).rows
        assert {row["tensor"] for row in drawn.rows} == {"0.weight", "2.weight"}
        assert sum(row["density"] for row in drawn.rows) == masks.alive
        assert max(row["column"] for row in drawn.rows if row["tensor"] == "0.weight") == 17
        assert len(plot_masks(network, names=["2.weight"]).rows) == 24

    def test_bars_show_which_channels_go_together(self):
        network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 3, bias=False))
        with torch.no_grad():
            network[0].weight[:2] = 0
        plot = plot_masks(network, structures=structures_of(network, torch.ones(1, 1, 8, 8)))
        bars = [
            (row["tensor"], row["dim"], row["group"], row["start"], row["end"]) for row in plot.rows if "group" in row
        ]
        assert bars == [
            ("0.weight", 0, "0", 0, 1),
            ("0.weight", 1, "never removed", 0, 1),
            ("2.weight", 0, "never removed", 0, 1),
            ("2.weight", 1, "0", 0, 1),
        ]
        cells = [row["density"] for row in plot.rows if row["tensor"] == "0.weight" and "row" in row]
        assert cells == [0, 0, 1, 1]  # a cell for each channel, not for each weight of it
        assert "never removed" in plot.svg

    def test_a_tensor_may_have_rows_of_two_groups(self):
        class Beside(nn.Module):
            def __init__(self):
                super().__init__()
                self.one, self.two, self.last = nn.Linear(2, 6), nn.Linear(2, 2), nn.Linear(8, 2)

            def forward(self, inputs):
                return self.last(torch.cat([self.one(inputs).relu(), self.two(inputs).relu()], dim=1))

        network = Beside()
        rows = plot_masks(network, structures=structures_of(network, torch.ones(1, 2))).rows
        bars = [row for row in rows if "group" in row and (row["tensor"], row["dim"]) == ("last.weight", 1)]
        assert [(bar["group"], bar["start"], bar["end"]) for bar in bars] == [("one", 0, 0.75), ("two", 0.75, 1)]

    def test_structures_of_another_network_are_refused(self):
        other = structures_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.ones(1, 3))
        with pytest.raises(UserError, match=r"plot_masks\(structures=\.\.\.\) was not found in this network"):
            plot_masks(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), structures=other)

    @pytest.mark.parametrize(
        ("masks", "options", "said"),
        [
            (nn.Linear(2, 2), {"names": ["bias"]}, r"names=\['bias'\]\): there are weight"),
            ({"norm": torch.ones(3)}, {}, "nothing to draw"),
            (3, {}, r"plot_masks\(int\)"),
            (nn.Linear(2, 2), {"cells": 0}, "at least 1"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, masks, options, said):
        with pytest.raises(UserError, match=said):
            plot_masks(masks, **options)


def test_a_plot_is_shown_and_saved(tmp_path):
    plot = plot_masks(nn.Linear(3, 2))
    assert plot._repr_png_().startswith(b"\x89PNG")
    assert plot.save(tmp_path / "masks.png").read_bytes() == plot._repr_png_()
    assert plot.save(tmp_path / "masks.svg").read_text() == plot.svg
    assert json.loads(plot.save(tmp_path / "masks.json").read_text())["datasets"]["rows"] == plot.rows
    assert plot.chart().to_dict()["vconcat"]
    with pytest.raises(UserError, match=r"\.svg, \.png, \.json"):
        plot.save("masks.pdf")
