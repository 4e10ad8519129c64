"""Say once what a study cannot do: before the training where it is known by then, or else at its end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from lightning_prune.ablation.planning.arm_runs import ArmRun, same_arms

Results = Iterable[Mapping[str, Any]]


def say_before(runs: Sequence[ArmRun]) -> None:
    """Warn of arms that are the same, and of runs that validate nothing.

    Args:
        runs: The runs of the study.
    """
    for arms in same_arms(runs):
        rank_zero_warn(
            f"Ablation(arms): {' and '.join(map(repr, arms))} come to the same config, are trained once, and have "
            "equal results. Change what they are meant to differ in, or leave one out."
        )
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if run.resolved.unvalidated and run.arm not in (known := reasons.setdefault(run.resolved.unvalidated, [])):
            known.append(run.arm)
    for reason, arms in reasons.items():
        rank_zero_warn(
            f"Ablation: {', '.join(map(repr, arms))} validate nothing, because {reason}. Their table has no validation "
            "metric and no best epoch, and nothing can be chosen by them. What is tested is the last network."
        )


def say_after(runs: Sequence[ArmRun], results: Sequence[Mapping[str, Any]]) -> None:
    """Warn of random generators that no checkpoint holds, of missing metrics, and of ensembles that were left out.

    Args:
        runs: The runs of the study.
        results: The results of its nodes.
    """
    names = dict.fromkeys(name for result in results for name in result.get("own_generators", ()))
    if names:
        rank_zero_warn(
            f"Ablation: {', '.join(names)} is a random generator that no checkpoint holds, and starts afresh in "
            "every node. So the results of arms do not equal, bit for bit, those of training each arm alone. Draw "
            "from torch's generator (leave `generator` out), or keep its state in the `state_dict` of the data "
            "module."
        )
    validated = [run for run in runs if not run.resolved.unvalidated]
    if validated and results and not any(row.get("metric") for result in results for row in result["rows"]):
        rank_zero_warn(
            "Ablation: the validation logs no accuracy and no loss that is known by its name, so the table has no "
            "validation metric and no best epoch. Log `val/accuracy` or `val/loss` in `validation_step`, or name the "
            "logged value: metric='...'."
        )
    for reason in dict.fromkeys(r for one in results if (r := (one.get("soup") or {}).get("no_ensemble"))):
        rank_zero_warn(f"Ablation: the ensembles of soups were not measured, because {reason}.")
