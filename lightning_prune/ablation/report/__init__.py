"""Report runs or a study on one page, with pictures, tables, and the commands and configs of the arms."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.ablation.report.report_command import report_study
    from lightning_prune.ablation.report.runs_report import report_runs

__all__ = ["report_runs", "report_study"]

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, {"report_runs": "runs_report", "report_study": "report_command"})
