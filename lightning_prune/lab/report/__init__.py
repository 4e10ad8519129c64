"""Report runs: read the logged files, make tables, and draw pictures."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.lab.report.run_report import report

__all__ = ["report"]

if not TYPE_CHECKING:
    __getattr__ = late_names(__name__, {"report": "run_report"})
