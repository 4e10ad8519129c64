"""What runs amount to: read the logged files, make tables, draw pictures."""

from lightning_prune.lab.report.run_command import report

__all__ = ["report"]
