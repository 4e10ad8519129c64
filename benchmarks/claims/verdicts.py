"""Turn significant differences into the verdict on a claim."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.claims.contrasts import Finding

HOLDS, IN_PART, MIXED, FAILS, UNDECIDED = (
    "holds", "holds in part", "mixed", "does not hold", "not significant at this size",
)  # fmt: skip


def verdict(findings: Sequence[Finding]) -> str:
    """Say whether a claim holds, by the comparisons that count.

    Args:
        findings: The comparisons. Those that do not count are left out.

    Returns:
        ``holds`` if all comparisons are for the claim; ``holds in part`` if some are for it and none against it;
        ``mixed`` if some are for it and some against it; ``does not hold`` if some are against it and none for it;
        ``not significant at this size`` if no comparison is significant.
    """
    found = tally(findings)
    if not found["against"]:
        if not found["for"]:
            return UNDECIDED
        return IN_PART if found["undecided"] else HOLDS
    return MIXED if found["for"] else FAILS


def once(findings: Sequence[Finding]) -> list[Finding]:
    """Count equal differences in one column once.

    At short budgets LR rewinding is fine-tuning, bit for bit. An arm that beats one of them beats the other, too.

    Args:
        findings: The comparisons of one study.

    Returns:
        The same comparisons. Of equal differences in one column, only the first counts.
    """
    seen, found = set(), []
    for one in findings:
        result = (one.contrast.column, one.difference, one.low, one.high)
        again = one.contrast.counts and result in seen
        found.append(replace(one, contrast=replace(one.contrast, counts=False)) if again else one)
        seen.add(result)
    return found


def tally(findings: Sequence[Finding]) -> Counter[str]:
    """Count the comparisons for, against and undecided, of those that count."""
    return Counter(finding.decided for finding in findings if finding.contrast.counts)


def counted(findings: Sequence[Finding]) -> str:
    """Say the same in numbers: ``"5 for, 0 against, 1 not significant"``."""
    found = tally(findings)
    return f"{found['for']} for, {found['against']} against, {found['undecided']} not significant"
