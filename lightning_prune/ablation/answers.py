"""What a study that was run can be asked: its table, its means, its comparisons, its page and its failures."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lightning_prune.ablation.results import comparison
from lightning_prune.ablation.results.table import table_of
from lightning_prune.ablation.running.loop import Running
from lightning_prune.lab.metric_names import lower_is_better


class Answers:
    """The questions to a study, which :class:`~lightning_prune.ablation.study.Ablation` runs.

    Attributes:
        _out: The folder of the study. None before the study was run.
        _running: The progress of the study. None before the study was run.
        _store: The path from the folder of the study to the folder of its nodes.
    """

    _out: Path | None = None
    _running: Running | None = None
    _store: str = "."

    def frame(self) -> pd.DataFrame:
        """The table of the last :meth:`run`, with a row for each arm, seed and cycle.

        Raises:
            RuntimeError: If :meth:`run` was not called yet.
        """
        if self._running is None:
            raise RuntimeError("Ablation.frame() has nothing to show before Ablation.run(out).")
        return table_of(self._running, self._store)

    def report(self, out: str | Path | None = None, **options: Any) -> Path:
        """Write the page of the last :meth:`run` with its pictures, and print the headline.

        Args:
            out: The folder for the files. None: ``report`` in the folder of the study.
            options: Further arguments of :func:`~lightning_prune.ablation.report.report_command.report_study`.

        Returns:
            The page, which a browser shows.

        Raises:
            RuntimeError: If :meth:`run` was not called yet.
        """
        from lightning_prune.ablation.report.report_command import report_study

        if self._out is None:
            raise RuntimeError("Ablation.report() has nothing to show before Ablation.run(out).")
        return report_study(self._out, out=None if out is None else Path(out), **options)

    def failures(self) -> dict[str, str]:
        """The tracebacks of the nodes that failed in the last :meth:`run`, by the name of the node."""
        return {} if self._running is None else self._running.failures()

    def summary(self, metric: str | None = None, **options: Any) -> pd.DataFrame:
        """The mean of every arm at every cycle. See :func:`~lightning_prune.ablation.results.comparison.summary`.

        Args:
            metric: A measured column. None: ``test_last``, or ``val_last`` where nothing was tested.
            options: Further arguments.
        """
        return comparison.summary(self.frame(), metric or self._measured(), **options)

    def best(self, metric: str = "val_last", **options: Any) -> pd.DataFrame:
        """The best arm by validation at each density. See :func:`~lightning_prune.ablation.results.comparison.best`."""
        return comparison.best(self.frame(), metric, **{"mode": self._mode(metric), **options})

    def compare(self, a: str, b: str, metric: str | None = None, **options: Any) -> pd.DataFrame:
        """Compare two arms, paired by seed. See :func:`~lightning_prune.ablation.results.comparison.compare`.

        Args:
            a: An arm.
            b: Another arm.
            metric: A measured column. None: ``test_last``, or ``val_last`` where nothing was tested.
            options: Further arguments.
        """
        metric = metric or self._measured()
        return comparison.compare(self.frame(), a, b, metric, **{"mode": self._mode(metric), **options})

    def _measured(self) -> str:
        return "test_last" if self.frame()["test_last"].notna().any() else "val_last"

    def _mode(self, column: str) -> Literal["max", "min"]:
        metrics = self.frame()["metric"].dropna()
        lower = column.startswith("loss") or (len(metrics) > 0 and lower_is_better(str(metrics.iloc[0])))
        return "min" if lower else "max"
