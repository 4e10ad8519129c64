"""The rewind point: children of a point share its weights and their schedule, and differ in the order of their data."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from test_regime_study import CONFIG

from lightning_prune import UserError
from lightning_prune.cli import main
from lightning_prune.regimes.study import Stability, stability

BASE = {**CONFIG["base"], "trainer": {"max_epochs": 3, "accelerator": "cpu"}}


def pairs(*lmcs, seeds=1):
    rows = [
        {"point": point, "seed": seed, "lmc": lmc, "cka": 1.0, "error": 0.1}
        for seed in range(seeds)
        for point, lmc in zip(("0ep", "1ep", "5ep"), lmcs, strict=True)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("lmcs", "earliest"),
    [
        ((-0.4, -0.01, 0.0), "1ep"),
        ((0.0, -0.4, 0.0), "5ep"),  # a point before an unstable one is luck
        ((0.0, 0.0, 0.0), "0ep"),
        ((-0.4, -0.3, -0.2), None),
    ],
)
def test_the_earliest_point_is_stable_and_so_are_all_later_ones(lmcs, earliest):
    found = Stability(pairs(*lmcs, seeds=2))
    assert found.earliest == earliest
    assert ("Measure later points" if earliest is None else f"WeightRewind(to='{earliest}')") in str(found)


def test_a_larger_tolerance_calls_more_points_stable():
    assert Stability(pairs(-0.4, -0.05, 0.0)).earliest == "5ep"
    assert Stability(pairs(-0.4, -0.05, 0.0), tolerance=0.1).earliest == "1ep"


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ([], "list of points"),
        (["5 epochs"], "stability"),
        ([3.5], "stability"),
        (["1ep", 1], "twice"),
        (["3ep"], "before the end of the dense run of 3 epochs"),
    ],
)
def test_what_is_no_point_is_refused(at, said):
    with pytest.raises(UserError, match=said):
        stability(BASE, at=at)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_children_end_where_the_dense_run_does_and_the_command_says_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = stability(BASE, at=["0ep", "2ep"], out="out", seeds=[3], workers=0)
    assert found.pairs["point"].tolist() == ["0ep", "2ep"]
    table = pd.read_csv("out/children/table.csv")
    assert table[table["cycle"] == 0]["node"].nunique() == 1, "one dense run serves all points"
    children = table[table["cycle"] == 1].set_index("arm")
    assert children["epochs"].tolist() == [3, 3, 1, 1]
    assert set(children["density"]) == {1.0}
    first, second = (
        torch.load(Path("out/children", children.loc[f"from 2ep, child {child}", "checkpoint"]), weights_only=True)
        for child in (1, 2)
    )
    assert any(not torch.equal(first["state_dict"][name], one) for name, one in second["state_dict"].items())
    main(["regimes", "--advise", "out"])
    assert capsys.readouterr().out.strip() == str(found)
    Path("points.yaml").write_text(yaml.safe_dump({"base": BASE, "at": ["0ep", "2ep"], "seeds": [3]}))
    main(["regimes", "--config", "points.yaml", "--dry-run"])
    assert "1 dense run, 4 children." in capsys.readouterr().out
