"""Report the latest evaluation by ``test`` and ``validate``, and the step of the run from which its weights come."""

import pandas as pd

from lightning_prune.lab.report.logged_run import Run
from lightning_prune.lab.report.terminal import score

VERBS = {"test": "Tested", "validate": "Validated"}


def latest(run: Run, stage: str) -> dict[str, float]:
    """Collect the metrics of the last evaluation.

    Args:
        run: The run.
        stage: ``test`` or ``validate``.
    """
    table = (
        run.results.get(stage, pd.DataFrame()).select_dtypes("number").drop(columns=["step", "epoch"], errors="ignore")
    )
    return {} if table.empty else {str(name): float(value) for name, value in table.iloc[-1].dropna().items()}


def sentences(run: Run) -> list[str]:
    """Describe the last evaluation, its step, and whether the run went on since then."""
    measured = {stage: latest(run, stage) for stage in VERBS}
    return [
        f"{VERBS[stage]} {_when(run, run.results[stage])}: "
        + ", ".join(f"{name} {score(name, value)}" for name, value in values.items())
        + "."
        for stage, values in measured.items()
        if values
    ]


def _when(run: Run, table: pd.DataFrame) -> str:
    if "step" not in table or pd.isna(table["step"].iloc[-1]):
        return "at an unknown step"
    # The step of a checkpoint counts the finished steps, so its weights come from the step before.
    done = int(table["step"].iloc[-1])
    cycle = int(run.cycles_of(pd.Series([max(done - 1, 0)])).iloc[0])
    where = f"at step {done}, {f'cycle {cycle}' if cycle else 'dense'}"
    return f"{where} (the run went on since, to step {run.steps})" if run.steps > done else where
