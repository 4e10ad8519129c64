"""What a study amounts to, on one page: pictures, tables, and what made them."""

from lightning_prune.ablation.report.report_command import report_study

__all__ = ["report_study"]
