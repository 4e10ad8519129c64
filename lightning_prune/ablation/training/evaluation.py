"""Test the networks of a node on the test data, which no choice has seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_prune.ablation.config.loaders_of_module import has_loader
from lightning_prune.ablation.training.node_measurement import best_name
from lightning_prune.lab.cli.command_line import CommandLine
from lightning_prune.lab.metric_names import STAGES
from lightning_prune.shrinking.small_checkpoints import take_sizes_


def evaluate(
    made: CommandLine, rows: Mapping[int, Mapping[str, Any]], folder: Path, by_epochs: bool = False
) -> dict[int, dict[str, Any]]:
    """Test the last network of a node, and the best one of each of its cycles.

    Args:
        made: Trainer, model and data, after the fit.
        rows: The measured values of each cycle.
        folder: The folder with the checkpoints of the best networks.
        by_epochs: Whether every cycle ends with an epoch, so that its last epoch is its last network. If this network
            is the best one as well, its test is that of both.

    Returns:
        Columns by cycle. Empty if the module or the data has no test.
    """
    if not is_overridden("test_step", made.model) or not has_loader(made.model, made.datamodule, "test_dataloader"):
        return {}
    tested: dict[int, dict[str, Any]] = {cycle: {} for cycle in rows}
    last = max(rows)
    if (name := name_on_test(rows[last].get("metric"))) is None:
        return {}
    tested[last] = _measure(made, name, "test_last")
    for cycle, row in rows.items():
        if row["best_epoch"] == row["epochs"] and cycle == last:
            tested[cycle]["test_best"] = tested[cycle].get("test_last")
        elif row["val_best"] is not None:
            saved = torch.load(folder / best_name(cycle), map_location="cpu", weights_only=True)
            take_sizes_(made.model, saved, f"The best network of cycle {cycle}")
            made.model.load_state_dict(saved["state_dict"])
            tested[cycle] |= _measure(made, name, "test_best")
            if by_epochs and row["best_epoch"] == row["epochs"]:
                tested[cycle]["test_last"] = tested[cycle].get("test_best")
    return tested


def name_on_test(metric: str | None) -> str | None:
    """The name of a validation metric on the test data.

    Example:
        >>> name_on_test("val/accuracy"), name_on_test("valid_loss"), name_on_test("top1")
        ('test/accuracy', 'test_loss', None)
    """
    stage = next((one for one in reversed(STAGES) if metric is not None and metric.startswith(one)), None)
    return None if metric is None or stage is None else "test" + metric.removeprefix(stage)


def _measure(made: CommandLine, name: str, column: str) -> dict[str, Any]:
    made.trainer.test(made.model, datamodule=made.datamodule, verbose=False)
    value = made.trainer.callback_metrics.get(name)
    return {} if value is None else {column: value.item(), "test_metric": name}
