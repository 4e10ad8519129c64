"""Compare arms over seeds. Arms share a dense run, and the results are a table and a report."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.ablation.results.failed_runs import RunsFailed
    from lightning_prune.ablation.study import Ablation

__all__ = ["Ablation", "RunsFailed"]

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, {"Ablation": "study", "RunsFailed": "results.failed_runs"}, extra="studies")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
