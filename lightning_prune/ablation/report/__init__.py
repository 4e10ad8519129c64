"""Report a study on one page, with pictures, tables, and the commands and configs of its arms."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.ablation.report.report_command import report_study

__all__ = ["report_study"]

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, {"report_study": "report_command"})
