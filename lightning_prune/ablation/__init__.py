"""Compare arms over seeds. Arms share a dense run, and the results are a table and a report."""

from lightning_prune.basics.extras import needs_extra

with needs_extra("lightning_prune.ablation", "lab"):
    from lightning_prune.ablation.results.failed_runs import RunsFailed
    from lightning_prune.ablation.study import Ablation

__all__ = ["Ablation", "RunsFailed"]
