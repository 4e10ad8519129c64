"""One fit, moment by moment: its parts, its start or resume, the cycles that are due, and the order inside a prune."""

from lightning_prune.callbacks.fit.run.moments import Run as Run
