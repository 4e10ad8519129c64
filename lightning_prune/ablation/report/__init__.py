"""Report a study on one page, with pictures, tables, and the commands and configs of its arms."""

from lightning_prune.ablation.report.report_command import report_study

__all__ = ["report_study"]
