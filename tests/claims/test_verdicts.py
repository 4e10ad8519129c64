"""From decided comparisons to a verdict, and to what the page advises."""

import pytest
from made_up_results import table_of

from benchmarks.claims.catalog import CLAIMS
from benchmarks.claims.contrasts import Finding, over
from benchmarks.claims.page import ADVICE, Outcome
from benchmarks.claims.results import Result
from benchmarks.claims.tables import differences
from benchmarks.claims.verdicts import counted, once, verdict

INTERVALS = {
    "for": (0.01, 0.03),
    "against": (-0.03, -0.01),
    "undecided": (-0.01, 0.01),
    "one seed": (float("nan"),) * 2,
}


def found(decided: str, counts: bool = True, row: str = "silo") -> Finding:
    low, high = INTERVALS[decided]
    return Finding(over(row, "clr", "here", counts=counts), 5, (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("decided", "expected"),
    [
        (["for", "for"], "holds"),
        (["for", "undecided"], "holds in part"),
        (["for", "one seed"], "holds in part"),
        (["for", "against"], "mixed"),
        (["for", "against", "undecided"], "mixed"),
        (["against", "against"], "does not hold"),
        (["against", "undecided"], "does not hold"),
        (["undecided"], "not significant at this size"),
        (["one seed"], "not significant at this size"),
        ([], "not significant at this size"),
    ],
)
def test_the_verdict_is_what_was_decided(decided, expected):
    assert verdict([found(one) for one in decided]) == expected


@pytest.mark.parametrize("beside", ["for", "against", "undecided"])
@pytest.mark.parametrize("counting", ["for", "against", "undecided"])
def test_what_does_not_count_is_told_and_not_counted(counting, beside):
    both = [found(counting), found(beside, counts=False, row="told beside")]
    assert (verdict(both), counted(both)) == (verdict(both[:1]), counted(both[:1]))
    assert "| *told beside over clr* |" in differences(both)
    assert "| silo over clr |" in differences(both)


def test_the_counts_are_said_in_numbers():
    assert (
        counted([found("for"), found("against"), found("for"), found("one seed")])
        == "2 for, 1 against, 1 not significant"
    )


def test_only_what_was_decided_is_bold():
    cells = {one: differences([found(one)]).splitlines()[-1].split("|")[2].strip() for one in INTERVALS}
    assert cells["for"] == "**+2.00 [+1.00, +3.00]**"
    assert cells["against"] == "**-2.00 [-3.00, -1.00]**"
    assert cells["undecided"] == "+0.00 [-1.00, +1.00]"
    hardly = Finding(over("silo", "clr", "here"), 5, -0.003, -0.006, -0.00001)
    assert "**-0.30 [-0.60, -0.00]**" in differences([hardly])


def test_one_result_told_twice_counts_once():
    twice = [found("for"), found("for", row="silo, which is the same here"), found("against", row="other")]
    assert counted(once(twice)) == "1 for, 1 against, 0 not significant"
    assert differences(once(twice)).count("+2.00") == 2, "it is told all the same"
    unknown = [found("one seed"), found("one seed", row="of one seed it is not known whether they are the same")]
    assert counted(once(unknown)) == "0 for, 0 against, 2 not significant"


def test_a_cell_that_does_not_count_is_in_italics_in_a_row_that_does():
    elsewhere = Finding(over("silo", "clr", "elsewhere", counts=False), 5, 0.02, 0.01, 0.03)
    *_, row = differences([found("for"), elsewhere]).splitlines()
    assert row == "| silo over clr | **+2.00 [+1.00, +3.00]** | ***+2.00 [+1.00, +3.00]*** |"


@pytest.mark.parametrize(
    ("decided", "advice"),
    [
        (["for"], "for"),
        (["for", "undecided"], "for"),
        (["for", "against"], "mixed"),
        (["against"], "against"),
        (["undecided"], "undecided"),
    ],
)
def test_every_claim_advises_for_every_verdict(decided, advice):
    for claim in CLAIMS:
        study = Result("study_digits", table_of({("silo", 1): [0.9]}), {})
        outcome = Outcome(claim, "cpu", [study], [[found(one) for one in decided]])
        assert ADVICE.get(outcome.verdict, "mixed") == advice
        assert claim.advice[advice].strip()
