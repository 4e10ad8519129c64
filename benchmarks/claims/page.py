"""docs/claims.md: what was claimed, what came out, and what to do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import tables
from benchmarks.claims.claim import Claim
from benchmarks.claims.contrasts import Finding, measure, missing
from benchmarks.claims.oracle import peaks_of
from benchmarks.claims.pictures import NAMES, picture_of, write
from benchmarks.claims.results import Result, hours_of_training
from benchmarks.claims.studies import DIGITS, TORCHVISION, config_of
from benchmarks.claims.verdicts import FAILS, HOLDS, IN_PART, UNDECIDED, counted, once, verdict

ADVICE = {HOLDS: "for", IN_PART: "for", FAILS: "against", UNDECIDED: "undecided"}
SIZES = {"cpu": "CPU size", "full": "GPU size"}
HEAD = """# Claims

What papers say about retraining pruned networks, measured with this package. `make claims` trains what is missing and
writes this page, with every figure in it.

- **Data**: {data}. Where
  something is chosen it is chosen on validation images; what is reported was measured on test images, once, at the end
  of each cycle.
- **Means** are over seeds, with 95 % intervals by Student's t. A seed is a dense network of its own; the arms of a seed
  start from the same one, and **differences** are taken within each seed. A difference is decided, and bold, where its
  interval does not contain 0. The spread behind an interval is at least what rounding to whole images leaves open, so
  that seeds which agree by chance decide nothing. Intervals are not corrected for how many there are: of 20 differences
  that are truly 0, one on average comes out decided by chance.
- **Seeds** change weights, order and draws, not images: all seeds of a study train, validate and are tested on the same
  ones. Intervals say nothing about other images. Of the digits 360 are for testing, one of which is 0.28 points;
  of CIFAR-10 10,000.
- **Verdicts** count decided differences: a claim *holds* if all of them are decided for it, *in part* if some are and
  none against it; it *does not hold* if some are against it and none for it, *throughout* if there are both. What
  stands in italics is told beside it and not counted; of equal differences in one place the first counts.
- **Small**: at the CPU size LeNet-300-100 is trained for 680 steps on 1,078 images, ResNet-8 for 1,200 on 2,500 and
  WRN-10-2 for 960 on 512. The papers have ResNet-20 to ResNet-110 and WRN-16-8, 50,000 images, 64,000 to 80,000
  steps. What is decided here is decided for the small networks.
- **Hash**: eight digits for everything that determines a mean (versions, config, seeds, the data): the keys of the
  nodes in `docs/claims/<size>/<study>.csv`, hashed. On machines of one kind the same hash is the same run, bit for
  bit; where the images lie does not enter it.
- **Again**: `make claims`, or `make claims CLAIM=3` for one claim; with `DATA=folder` CIFAR-10 is read from
  `folder/train/<class>/` and `folder/test/<class>/`. Interrupted and repeated it goes on where it was.

{trained}
"""


@dataclass(frozen=True)
class Outcome:
    """A claim at one size.

    Args:
        claim: The claim.
        size: ``"cpu"`` or ``"full"``.
        results: Its studies, those that were run.
        findings: What was compared, study by study.
    """

    claim: Claim
    size: str
    results: Sequence[Result]
    findings: Sequence[Sequence[Finding]]

    @property
    def all_findings(self) -> list[Finding]:
        """The comparisons of all studies."""
        return [finding for found in self.findings for finding in found]

    @property
    def verdict(self) -> str:
        """What is said of the claim, over all networks."""
        return verdict(self.all_findings) if self.results else "not run yet"


def outcome_of(claim: Claim, size: str, results: Sequence[Result]) -> Outcome:
    """Compare what a claim compares.

    Args:
        claim: The claim.
        size: ``"cpu"`` or ``"full"``.
        results: Its studies, those that were run.
    """
    asked = [[one for one in claim.ask(result.table) if not missing(one, result.table)] for result in results]
    found = [once([measure(one, result.table) for one in ask]) for ask, result in zip(asked, results, strict=True)]
    return Outcome(claim, size, results, found)


def write_page(path: Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write the page and its pictures.

    Args:
        path: The page.
        outcomes: All claims, size by size.

    Returns:
        What was written.
    """
    written = []
    for one in outcomes:
        if one.results:
            picture = picture_path(path, one)
            write(picture_of(one.claim.number, one.results), picture)
            written.append(picture)
    parts = [_head(outcomes), _overview(outcomes), *(_section(one, path) for one in outcomes if one.results)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [path, *written]


def picture_path(page: Path, outcome: Outcome) -> Path:
    """Where the picture of a claim lies."""
    return page.parent / "images" / "claims" / f"{outcome.size}-claim{outcome.claim.number}.svg"


def _head(outcomes: Sequence[Outcome]) -> str:
    results = {one.name: one for outcome in outcomes for one in outcome.results}
    data = sorted({str(one.facts["data"]) for one in results.values()})
    return HEAD.format(data="; ".join(data), trained="\n\n".join(_trained(size, outcomes) for size in SIZES).strip())


def _trained(size: str, outcomes: Sequence[Outcome]) -> str:
    results = {one.name: one for outcome in outcomes if outcome.size == size for one in outcome.results}.values()
    if not results:
        return ""
    versions = "; ".join(sorted({f"torch {one.torch}, lightning {one.lightning}" for one in results}))
    hardware = "; ".join(sorted({said for one in results for said in one.facts["hardware"]}))
    at_once = " or ".join(str(one) for one in sorted({one.facts["workers"] for one in results}))
    hours = f"{hours_of_training(list(results)):.1f} hours of training, summed over those"
    return f"{SIZES[size]}: trained with {versions} on {hardware}, {at_once} networks at once; {hours}."


def _overview(outcomes: Sequence[Outcome]) -> str:
    body = []
    for one in outcomes:
        number, title = one.claim.number, one.claim.title
        link = f"[{title}](#{_anchor(_title(one))})" if one.results else title
        body.append([str(number), link, SIZES[one.size], one.verdict, counted(one.all_findings) if one.results else ""])
    return tables.markdown(["", "claim", "size", "verdict", "comparisons"], body)


def _title(one: Outcome) -> str:
    return f"{one.claim.number}. {one.claim.title}" + (f" ({SIZES[one.size]})" if one.size != "cpu" else "")


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return kept.replace(" ", "-")


def _section(one: Outcome, page: Path) -> str:
    claim = one.claim
    networks = ", ".join(_network(result) for result in one.results)
    picture = picture_path(page, one).relative_to(page.parent).as_posix()
    parts = [f"## {_title(one)}", f"> {claim.says}", f"Source: {claim.source}", _said(one)]
    parts.append(f"![{claim.title}: {networks}]({picture})")
    for result, found in zip(one.results, one.findings, strict=True):
        parts += [f"**{_network(result)}**: {verdict(found)} ({counted(found)}).", tables.differences(found)]
        if claim.topic == "silo":
            parts.append(tables.peaks(peaks_of(result.table)))
    parts.append(f"**What to do.** {claim.advice[ADVICE.get(one.verdict, 'mixed')]}")
    parts += [f"*{limit}*" for limit in claim.limits]
    parts += [f"*An arm failed: {error}*" for result in one.results for error in result.facts["errors"]]
    parts += [_behind(one, result) for result in one.results]
    return "\n\n".join(parts)


def _said(one: Outcome) -> str:
    said = f"**Verdict: {one.verdict}** ({counted(one.all_findings)})."
    if one.claim.topic != "silo":
        return said
    hits = []
    for result in one.results:
        peaks = [peak for peak in peaks_of(result.table) if not math.isnan(peak.silo)]
        hits.append(f"{sum(peak.hit for peak in peaks)} of {len(peaks)} ({_network(result)})")
    return f"{said} Densities at which SILO's peak lies in the Oracle's interval: {'; '.join(hits)}."


def _network(result: Result) -> str:
    return NAMES.get(result.network, result.network)


def _behind(one: Outcome, result: Result) -> str:
    config = config_of(result.name, one.size).as_posix()
    more = " FULL=1" if one.size == "full" else ""
    more += "" if result.facts["data"] in (DIGITS, TORCHVISION) else " DATA=folder"
    return f"""<details><summary>{_network(result)}: means, command, config, hashes</summary>

`make claims CLAIM={one.claim.number}{more}`, config [{config}](../{config}), rows
[{result.name}.csv](claims/{one.size}/{result.name}.csv); the page of the study with all pictures:
`lightning-prune report runs/claims/{one.size}/{result.name}`.

{tables.means(result)}

</details>"""
