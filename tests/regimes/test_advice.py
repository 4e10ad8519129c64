"""The advice, tested on the maps of Zhou et al. 2023: what it would have cost there."""

import csv
from pathlib import Path

import pytest

from lightning_prune import Measured, UserError, advise, choose

# Read off the pictures of test error, LMC and CKA in the repository of the authors (PreResNet-20 on CIFAR-10, 16 lengths
# of the dense run). The colors are those of the color bars, so that errors are known to 0.0005, and LMC to 0.003.
MAP = Path(__file__).with_name("zhou_2023_digitized.csv")
RESOLUTION = 0.0005


def cells():
    with MAP.open() as file:
        for row in csv.DictReader(file):
            numbers = {name: float(row[name]) for name in ("lmc", "cka", "density", "error")}
            yield Measured(**numbers, temperature=int(row["epochs"]))


def rows():
    """The cells of each density, hottest first."""
    found = {}
    for cell in cells():
        found.setdefault(cell.density, []).append(cell)
    return found


def best(row):
    return min(row, key=lambda cell: cell.error)


def is_right(cell, row, tolerance):
    raised = advise(cell, tolerance=tolerance).direction == "raise"
    return raised == (best(row).temperature < cell.temperature)


def at_stake(points):
    return [
        (cell, row)
        for row in rows().values()
        for cell in row
        if cell.error - best(row).error > points / 100 + RESOLUTION
    ]


def share(found):
    found = list(found)
    return sum(found) / len(found)


def test_the_map_is_whole():
    found = rows()
    assert list(found) == [0.05, 0.06, 0.07, 0.08, 0.1, 0.14, 0.2, 0.4, 0.8]
    assert all([cell.temperature for cell in row] == list(range(10, 170, 10)) for row in found.values())
    assert [best(row).temperature for row in found.values()][:2] == [60, 80]


def test_the_direction_is_right_where_half_a_point_is_at_stake():
    stakes = at_stake(0.5)
    assert len(stakes) == 65
    assert share(is_right(cell, row, 0.1) for cell, row in stakes) > 0.98
    assert share(is_right(cell, row, 0.05) for cell, row in stakes) < 0.96
    assert share(is_right(cell, row, 0.01) for cell, row in stakes) < 0.8  # taking LMC < 0 literally
    clear = [(cell, row) for cell, row in stakes if advise(cell).is_clear]
    assert len(clear) > 50
    assert all(is_right(cell, row, 0.1) for cell, row in clear)


def test_the_choice_costs_little_at_every_density():
    regrets = {density: choose(row).error - best(row).error for density, row in rows().items()}
    assert max(regrets.values()) < 0.006
    trained = {density: row[-1].error - best(row).error for density, row in rows().items()}
    assert max(trained.values()) > 0.03
    assert sum(regrets.values()) < 0.2 * sum(trained.values())
    assert all(choose(cells(), density=density) == choose(row) for density, row in rows().items())


def test_the_walk_that_the_advice_describes_ends_near_the_best():
    """From the fully trained network: raise while it says so. Then the last connected network is taken."""
    for row in rows().values():
        place = len(row) - 1
        while place and advise(row[place]).direction == "raise":
            place -= 1
        assert row[place].error - best(row).error < 0.006


def test_the_regimes_of_a_family():
    (row,) = (row for density, row in rows().items() if density == 0.1)
    regimes = [advise(cell, family=row).regime for cell in row]
    assert regimes.count("II-B") == 1
    kept = advise(choose(row), family=row)
    assert (kept.regime, kept.direction) == ("II-B", "keep")
    assert set(kept.changes.values()) == {"as it is"}
    assert regimes[-4:] == ["I"] * 4
    assert advise(row[0], family=cells()).regime == "II-A"  # other densities are no family


def test_all_kinds_of_temperature_are_named_with_their_direction():
    up, down = advise(Measured(-0.5, density=0.05)), advise(Measured(0.0, density=0.5))
    assert up.changes == {
        "epochs": "fewer", "batch_size": "smaller", "learning_rate": "higher", "rho": "larger", "weight_decay": "higher",
    }  # fmt: skip
    assert down.changes.keys() == up.changes.keys()
    assert all(down.changes[kind] != up.changes[kind] for kind in up.changes)
    assert "Raise the temperature" in str(up)
    assert "Lower the temperature" in str(down)


def test_it_is_clear_if_the_tolerance_hardly_matters():
    assert advise(Measured(-0.21)).is_clear
    assert not advise(Measured(-0.19)).is_clear
    assert not advise(Measured(-0.06)).is_clear
    assert advise(Measured(-0.04)).is_clear
    assert not advise(Measured(-0.3, spread=0.06)).is_clear
    assert "close to the border" in str(advise(Measured(-0.1)))


def test_the_least_unconnected_is_chosen_where_none_is_connected():
    family = [Measured(-0.6, cka=0.99), Measured(-0.2), Measured(-0.4, cka=0.9)]
    assert choose(family) is family[1]


def of_errors(*errors):
    """Connected networks with these training errors. The first is the most similar one."""
    return [
        Measured(0.0, cka=0.99 - place / 100, density=0.1, temperature=f"{place + 1} epochs", train_error=error)
        for place, error in enumerate(errors)
    ]


def test_a_choice_among_copies_that_have_not_learned_comes_with_a_warning():
    family = of_errors(0.76, 0.23, 0.5)
    with pytest.warns(
        UserWarning, match=r"1 epochs have a training error of 76\.0 %, and those of 2 epochs have 23\.0 %"
    ):
        assert choose(family) is family[0]  # the rule of the paper
    with pytest.warns(UserWarning, match="validation errors"):
        choose([*family, Measured(-0.5, 0.1, density=0.2)], density=0.1)
    kept = advise(family[0], family)
    assert (kept.regime, kept.direction) == ("II-B", "keep")
    assert str(kept).endswith(f"Keep the temperature of the dense run. {kept.caveat}")
    assert "76.0 %" in kept.caveat
    assert "50.0 %" in advise(family[2], family).caveat
    assert advise(family[1], family).caveat == ""


@pytest.mark.parametrize("errors", [(0.33, 0.23), (0.4, 0.3), (None, 0.2), (0.9, None), (0.1, 0.9), (0.9, 0.9)])
def test_there_is_no_warning_where_training_errors_are_close_or_not_known(errors, recwarn):
    family = of_errors(*errors)
    assert choose(family) is family[0]
    assert not advise(family[0], family).caveat
    assert not recwarn


def test_what_cannot_be_advised_is_refused():
    with pytest.raises(UserError, match=r"Measured\(density=20\)"):
        Measured(0.0, density=20)
    with pytest.raises(UserError, match=r"Measured\(lmc=nan\)"):
        Measured(float("nan"))
    with pytest.raises(UserError, match=r"Measured\(train_error=76\): `train_error` must lie in \[0, 1\]"):
        Measured(0.0, train_error=76)
    with pytest.raises(UserError, match="no network of this density"):
        choose(cells(), density=0.5)
    with pytest.raises(UserError, match=r"give density=0\.05"):
        choose(cells())
    with pytest.raises(UserError, match="CKA of connected networks, and it is missing"):
        choose([Measured(0.0), Measured(0.0, cka=0.9)])
    with pytest.raises(UserError, match=r"advise\(tolerance=-1\)"):
        advise(Measured(0.0), tolerance=-1)
