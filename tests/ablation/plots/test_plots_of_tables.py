"""`plot_lines` and `plot_map` draw the numbers of a table, and refuse what they cannot draw."""

import math

import pandas as pd
import pytest

from lightning_prune.ablation.plots import plot_lines, plot_map
from lightning_prune.basics.user_error import UserError

TABLE = pd.DataFrame(
    {
        "density": [1.0, 0.1, 0.0, 1.0, 0.1, 0.5],
        "accuracy": [0.9, 0.8, 0.1, 0.9, 0.7, math.nan],
        "seconds": [3.0, 2.0, 0.0, 3.0, 1.0, 0.0],
        "arm": ["a", "a", "a", "b", "b", "b"],
    }
)


def texts(plot):
    """What can be read in the picture."""
    return plot.svg.replace("\u2212", "-")


class TestLines:
    def test_a_row_is_a_point_and_rows_without_a_number_are_left_out(self):
        plot = plot_lines(TABLE, x="seconds", y="accuracy", line="arm")
        assert [(row["line"], row["x"], row["y"]) for row in plot.rows] == [
            ("a", 3, 0.9),
            ("a", 2, 0.8),
            ("a", 0, 0.1),
            ("b", 3, 0.9),
            ("b", 1, 0.7),
        ]
        assert ">seconds<" in texts(plot)
        assert "80 %" in texts(plot)

    def test_over_the_density_the_axis_is_logarithmic_and_dense_on_the_left(self):
        plot = plot_lines(TABLE, x="density", y="accuracy", line="arm")
        assert [row["x"] for row in plot.rows] == [1.0, 0.1, 1.0, 0.1]
        scale = plot.spec["vconcat"][0]["hconcat"][0]["layer"][0]["encoding"]["x"]["scale"]
        assert (scale["type"], scale["reverse"]) == ("log", True)
        assert "10 %" in texts(plot)

    def test_measures_have_axes_of_their_own_and_panels_of_a_measure_have_the_same(self):
        def ends(plot):
            panels = [panel for line in plot.spec["vconcat"] for panel in line["hconcat"]]
            return [panel["layer"][0]["encoding"]["y"]["scale"]["domain"] for panel in panels]

        assert ends(plot_lines(TABLE, x="density", y=["accuracy", "seconds"])) == [[0.7, 0.9], [0, 3]]
        plot = plot_lines(TABLE, x="seconds", y="accuracy", panel="arm")
        assert ends(plot) == [[0.1, 0.9]] * 2
        assert [row["panel"] for row in plot.rows] == ["a", "a", "a", "b", "b"]

    def test_five_panels_take_two_lines(self):
        table = pd.DataFrame({"x": [0, 1] * 5, "y": range(10), "part": [part for part in "abcde" for _ in "xy"]})
        lines = plot_lines(table, x="x", y="y", panel="part").spec["vconcat"]
        assert [len(line["hconcat"]) for line in lines] == [4, 1]

    def test_a_logarithmic_axis_leaves_out_zeros(self):
        assert [row["y"] for row in plot_lines(TABLE, x="accuracy", y="seconds", log="y").rows] == [3, 2, 3, 1]

    def test_marks_color_the_points(self):
        assert "I-A" in texts(plot_lines(TABLE.assign(regime="I-A"), x="seconds", y="accuracy", mark="regime"))

    def test_only_lines_of_few_points_have_marks(self):
        many = pd.DataFrame({"x": range(60), "y": range(60), "line": "many"})
        (panel,) = plot_lines(pd.concat([many, many[:5].assign(line="few")]), "x", "y", "line").spec["vconcat"][0][
            "hconcat"
        ]
        assert "'oneOf': ['few']" in str(panel["layer"][1])
        (panel,) = plot_lines(many, "x", "y").spec["vconcat"][0]["hconcat"]
        assert len(panel["layer"]) == 1

    def test_names_may_hold_any_letters(self):
        strange = TABLE.rename(columns={"accuracy": "a.b[0]: c'd", "arm": 'an "arm"'})
        plot = plot_lines(strange, x="seconds", y="a.b[0]: c'd", panel='an "arm"')
        assert len(plot.rows) == 5
        assert "a.b[0]: c" in texts(plot)

    @pytest.mark.parametrize(
        ("table", "options", "said"),
        [
            (TABLE, {"x": "density", "y": "acuracy"}, r"y='acuracy'\).*Did you mean `accuracy`"),
            (TABLE, {"x": "density", "y": "accuracy", "line": "arms"}, r"line='arms'\).*Did you mean `arm`"),
            (TABLE, {"x": "density", "y": "accuracy", "line": "arm", "mark": "arm"}, "Give one"),
            (TABLE, {"x": "arm", "y": "accuracy"}, r"plot_lines\(x='arm'\) has to be a column of numbers"),
            (TABLE.iloc[5:], {"x": "density", "y": "accuracy"}, "nothing to draw"),
            ([1], {"x": "density", "y": "accuracy"}, r"plot_lines\(list\)"),
        ],
        ids=["measure", "line", "both", "words", "empty", "list"],
    )
    def test_what_cannot_be_drawn_is_refused(self, table, options, said):
        with pytest.raises(UserError, match=said):
            plot_lines(table, **options)


CELLS = pd.DataFrame(
    [[0.0, 0.5], [math.nan, 1.0]], index=["globally", "lamp"], columns=pd.Index([0.4, 0.06], name="density")
)


class TestMap:
    def test_a_cell_is_a_number_with_its_place(self):
        plot = plot_map(CELLS, form=".2f")
        assert [(row["row"], row["column"], row["value"]) for row in plot.rows] == [
            ("globally", "0.4", 0.0),
            ("globally", "0.06", 0.5),
            ("lamp", "0.4", None),
            ("lamp", "0.06", 1.0),
        ]
        assert all(f">{text}<" in texts(plot) for text in ("0.50", "1.00", "globally", "density"))
        assert ">NaN<" not in texts(plot)

    def test_rows_and_columns_keep_their_order(self):
        encoding = plot_map(CELLS).spec["hconcat"][0]["layer"][0]["encoding"]
        assert (encoding["x"]["sort"], encoding["y"]["sort"]) == (["0.4", "0.06"], ["globally", "lamp"])

    def test_several_maps_have_the_same_colors_and_name_equal_rows_once(self):
        plot = plot_map({"first": CELLS, "second": 2 * CELLS})
        encodings = [one["layer"][0]["encoding"] for one in plot.spec["hconcat"]]
        assert [one["color"]["scale"]["domain"] for one in encodings] == [[0.0, 2.0]] * 2
        assert [one["y"]["axis"]["labels"] for one in encodings] == [True, False]
        other = plot_map({"first": CELLS, "second": CELLS.rename({"lamp": "erk"})})
        assert [one["layer"][0]["encoding"]["y"]["axis"]["labels"] for one in other.spec["hconcat"]] == [True, True]

    def test_the_ends_of_the_colors_can_be_given(self):
        color = plot_map(CELLS, ends=(-1, 1)).spec["hconcat"][0]["layer"][0]["encoding"]["color"]
        assert color["scale"]["domain"] == [-1, 1]

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            (CELLS * math.nan, "there is no number"),
            ({}, "there is no number"),
            (pd.concat([CELLS, CELLS]), "the row globally, lamp occurs twice"),
            ({"mine": CELLS.set_axis([1, 1], axis="columns")}, "the column 1 occurs twice in 'mine'"),
            (CELLS.astype(str) + "x", "numbers"),
            ({"mine": [1]}, r"plot_map\(list\)"),
        ],
        ids=["no number", "no table", "rows", "columns", "words", "list"],
    )
    def test_what_cannot_be_drawn_is_refused(self, table, said):
        with pytest.raises(UserError, match=said):
            plot_map(table)
