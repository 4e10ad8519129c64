"""Report runs or a study on one page, with pictures, tables, and the commands and configs of the arms."""

from lightning_prune.ablation.report.report_command import report_study
from lightning_prune.ablation.report.runs_command import report_runs

__all__ = ["report_runs", "report_study"]
