"""From what was decided to what is said of a claim."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.claims.contrasts import Finding

HOLDS, IN_PART, MIXED, FAILS, UNDECIDED = (
    "holds", "holds in part", "does not hold throughout", "does not hold", "undecided at this size",
)  # fmt: skip


def verdict(findings: Sequence[Finding]) -> str:
    """Say whether a claim holds, by the comparisons that count.

    Args:
        findings: What came out; those that do not count are passed over.

    Returns:
        ``holds`` if all are decided for it, ``holds in part`` if some are and none against it, ``does not hold
        throughout`` if there are both, ``does not hold`` if there are only some against it, else ``undecided at this
        size``.
    """
    found = tally(findings)
    if not found["against"]:
        if not found["for"]:
            return UNDECIDED
        return IN_PART if found["undecided"] else HOLDS
    return MIXED if found["for"] else FAILS


def once(findings: Sequence[Finding]) -> list[Finding]:
    """Count once what is the same result twice.

    At short budgets LR rewinding is fine-tuning, to the last weight: what beats one beats the other, too.

    Args:
        findings: What came out of one study.

    Returns:
        The same, where of equal differences in one place only the first counts.
    """
    seen, found = set(), []
    for one in findings:
        result = (one.contrast.column, one.difference, one.low, one.high)
        again = one.contrast.counts and result in seen
        found.append(replace(one, contrast=replace(one.contrast, counts=False)) if again else one)
        seen.add(result)
    return found


def tally(findings: Sequence[Finding]) -> Counter[str]:
    """Count what was decided how, of the comparisons that count."""
    return Counter(finding.decided for finding in findings if finding.contrast.counts)


def counted(findings: Sequence[Finding]) -> str:
    """Say the same in numbers: ``"5 for, 0 against, 1 undecided"``."""
    found = tally(findings)
    return ", ".join(f"{found[one]} {one}" for one in ("for", "against", "undecided"))
