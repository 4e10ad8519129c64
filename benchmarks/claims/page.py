"""Write docs/claims.md: the claims, the measurements, and the advice."""

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
from benchmarks.claims.studies import DIGITS, DOCSTRINGS, TORCHVISION, config_of
from benchmarks.claims.verdicts import FAILS, HOLDS, IN_PART, UNDECIDED, counted, once, verdict

ADVICE = {HOLDS: "for", IN_PART: "for", FAILS: "against", UNDECIDED: "undecided"}
SIZES = {"cpu": "CPU size", "full": "GPU size"}
HEAD = """# Claims

Claims of papers about pruning and about retraining pruned networks, measured with this package. `make claims` trains
the missing runs and writes this page with all its figures.

- **Data.** {data}.
  All choices are made on validation images. The accuracies are measured on test images, once, at the end of each cycle.
- **Means.** A mean is over seeds, with a 95 % interval by Student's t. Each seed trains one dense network, and all arms
  of the seed start from this network.
- **Differences.** A difference is taken within each seed. It is **significant**, and bold, if its interval does not
  contain 0. The spread of an interval is never taken as smaller than rounding to whole images allows, so seeds that
  agree by chance prove nothing. Intervals are not corrected for multiple comparisons: if the true difference is 0, one
  comparison in 20 is still significant by chance.
- **Seeds.** A seed changes the initial weights, the order of the images and the random draws. All seeds of a study use
  the same training, validation and test images, so the intervals say nothing about other images. The test sets have
  360 digits (one digit is 0.28 points) and 10,000 images of CIFAR-10.
- **Verdicts.** A verdict counts the significant differences. A claim *holds* if every difference is significant and for
  it. It *holds in part* if some are significantly for it and none against it. The verdict is *mixed* if some are for
  it and some against it. A claim *does not hold* if some are against it and none for it. Rows in italics are extra
  information and do not affect the verdict. If the same difference appears twice in a column, it counts once.
- **Small networks.** At the CPU size, LeNet-300-100 is trained for 680 steps on 1,078 images, ResNet-8 for 1,200 steps
  on 2,500 images, and WRN-10-2 for 960 steps on 512 images. One more ResNet-8 is trained to its end: 2,370 steps on
  5,000 images of 16 pixels. The decoder sees 3,000 pieces of text twice. The papers train ResNet-20 to ResNet-110 and
  WRN-16-8 for 64,000 to 80,000 steps on 50,000 images. The verdicts here are verdicts about the small networks.
- **Hashes.** A hash has eight digits and covers everything that determines a mean: the versions, the config, the seeds
  and the content of the images. It is a hash of the node keys in `docs/claims/<size>/<study>.csv`. On machines of the
  same kind, the same hash means the same run, bit for bit.
- **Repeat it.** In a clone of the repository, `make claims` repeats everything, and `make claims CLAIM=3` repeats one
  claim. `DATA=folder` reads CIFAR-10 from `folder/train/<class>/` and `folder/test/<class>/`. If you interrupt the
  command, start it again: it continues.

{trained}
"""


@dataclass(frozen=True)
class Outcome:
    """A claim at one size.

    Args:
        claim: The claim.
        size: ``"cpu"`` or ``"full"``.
        results: Its studies that were run.
        findings: The comparisons of each study.
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
        """The verdict over all networks."""
        return verdict(self.all_findings) if self.results else "not run yet"


def outcome_of(claim: Claim, size: str, results: Sequence[Result]) -> Outcome:
    """Make the comparisons of a claim.

    Args:
        claim: The claim.
        size: ``"cpu"`` or ``"full"``.
        results: Its studies that were run.
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
        The written files.
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
    """The path of a claim's picture."""
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
    hours = f"{hours_of_training(list(results)):.1f} hours"
    return (
        f"{SIZES[size]}: trained with {versions} on {hardware}, {at_once} networks at once. "
        f"The training times of all networks add up to {hours}."
    )


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
        if claim.topic == "silo" and (peaks := peaks_of(result.table)):
            parts.append(tables.peaks(peaks, peaks_of(result.table, "Oracle, unpruned")))
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
        if peaks:
            hits.append(f"{sum(peak.hit for peak in peaks)} of {len(peaks)} densities ({_network(result)})")
    if not hits:
        return said
    return f"{said} SILO's peak lies in the Oracle's interval at {' and '.join(hits)}."


def _network(result: Result) -> str:
    return NAMES.get(result.network, result.network)


def _behind(one: Outcome, result: Result) -> str:
    config = config_of(result.name, one.size).as_posix()
    more = " FULL=1" if one.size == "full" else ""
    more += "" if result.facts["data"] in (DIGITS, DOCSTRINGS, TORCHVISION) else " DATA=folder"
    return f"""<details><summary>{_network(result)}: means, command, config, hashes</summary>

Command: `make claims CLAIM={one.claim.number}{more}`. Config: [{config}](../{config}). Rows:
[{result.name}.csv](claims/{one.size}/{result.name}.csv). Page of the study with all pictures:
`lightning-prune report runs/claims/{one.size}/{result.name}`.

{tables.means(result)}

</details>"""
