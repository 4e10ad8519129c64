"""Report runs: read the logged files, make tables, and draw pictures."""

from lightning_prune.lab.report.run_command import report

__all__ = ["report"]
