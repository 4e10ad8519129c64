"""The claims and their studies fit: every arm that a claim asks for is trained, and what is trained is asked for."""

import numpy
import pytest
from study_files import SIZES, STUDIES, as_if_trained, read, studies_of_topic

from benchmarks.claims.__main__ import all_outcomes, studies_of
from benchmarks.claims.catalog import CLAIMS
from benchmarks.claims.page import outcome_of
from benchmarks.claims.results import Result

pytestmark = pytest.mark.usefixtures("in_the_repository")
ASKED = [(claim, size, name) for claim in CLAIMS for size, name in studies_of_topic(claim.topic)]
# The fourth cell of two by two: no claim is about it. And a search whose peaks have a row in the table of peaks.
NOT_COMPARED = ("random, fine-tuning", "Oracle, unpruned")


def ids(one: object) -> str:
    return f"claim{one.number}" if hasattr(one, "number") else str(one)


@pytest.mark.parametrize(("claim", "size", "name"), ASKED, ids=ids)
def test_a_finished_study_answers_all_that_its_claim_asks(claim, size, name):
    study = read(name, size)
    result = Result(name, as_if_trained(study), {})
    (found,) = outcome_of(claim, size, [result]).findings
    asked = claim.ask(result.table)
    assert [one.contrast for one in found] == asked, "an arm is misspelt, in the config or in the question"
    assert any(one.counts for one in asked)
    assert {one.seeds for one in found} == {len(study.seeds)}
    assert all(numpy.isfinite([one.difference, one.low, one.high]).all() for one in found)
    places = [(one.row, one.column) for one in asked]
    assert len(set(places)) == len(places), "of two in one place of the table one is lost"


@pytest.mark.parametrize(("size", "name"), STUDIES)
def test_no_arm_is_trained_for_nothing(size, name):
    table = as_if_trained(read(name, size))
    asked = [one for claim in CLAIMS if name.startswith(f"{claim.topic}_") for one in claim.ask(table)]
    compared = {term.arm for one in asked for term in (*one.plus, *one.minus)}
    left = {arm for arm in table["arm"] if not arm.startswith(NOT_COMPARED)} - compared
    assert not left, "the config trains arms that no claim knows: is a name misspelt?"


@pytest.mark.parametrize("size", SIZES)
def test_every_claim_has_a_study_of_each_size(size):
    for claim in CLAIMS:
        assert studies_of(claim, size), claim.title
        assert {"for", "mixed", "against", "undecided"} == set(claim.advice), claim.title
    topics = {claim.topic for claim in CLAIMS}
    assert {name.split("_")[0] for one, name in STUDIES if one == size} == topics, "a study that no claim reads"
    assert [claim.number for claim in CLAIMS] == list(range(1, len(CLAIMS) + 1))


@pytest.mark.parametrize("name", [name for size, name in STUDIES if size == "cpu"])
def test_there_are_five_seeds_where_two_cores_allow_it(name):
    assert len(read(name, "cpu").seeds) >= 5


def test_a_claim_that_was_not_measured_is_told_so_only_at_the_cpu_size(tmp_path):
    outcomes = all_outcomes(tmp_path / "claims.md")
    assert [(one.claim.number, one.size, one.verdict) for one in outcomes] == [
        (claim.number, "cpu", "not run yet") for claim in CLAIMS
    ]
