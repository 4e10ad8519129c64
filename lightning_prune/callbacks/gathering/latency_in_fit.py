"""Measure in a fit how long the network takes, whole and without some of its units."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.structures_in_fit import batch_in_fit
from lightning_prune.callbacks.gathering.traceless import without_trace
from lightning_prune.deployment.profiling.profile_network import call_on_batch
from lightning_prune.deployment.profiling.width_table import measure_living, measure_widths
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.latency_table import LatencyTable
from lightning_prune.shrinking.regrowth import briefly_whole
from lightning_prune.structures.groups import Group

Groups = Mapping[str, Group]
ASKER = "IterativePruning(measure='latency')"


def table_in_fit(
    module: "pl.LightningModule", groups: Groups, latency: Latency, saved: Mapping[str, Any] | None
) -> LatencyTable:
    """Take the table of the run that is resumed, or measure one. The first process measures for all.

    Args:
        module: The module, in a fit with its data loaded.
        groups: The groups that are pruned, by name.
        latency: How the times are measured.
        saved: The table in the checkpoint that the fit resumes from. None if there is none.

    Raises:
        UserError: If the module does not run on a batch of this size.
    """
    widths = {name: group.width for name, group in groups.items()}
    if saved is not None and saved["latency"] == asdict(latency) and saved["widths"].items() >= widths.items():
        return LatencyTable.of_state(saved)
    trainer, state, failure = module.trainer, None, ""
    with without_trace(trainer, seed=0):
        example = _example(module)
        if trainer.is_global_zero:
            rank_zero_info(f"{ASKER}: measures {len(groups)} groups at several widths ...")
            try:
                call = call_on_batch(module, example, latency.batch, ASKER)
                state = measure_widths(module, call, groups, latency).state()
            except Exception as error:  # the other processes wait
                if trainer.world_size == 1:
                    raise
                failure = f"{type(error).__name__}: {error}"
    state, failure = trainer.strategy.broadcast((state, failure))
    if state is None:
        raise UserError(f"{ASKER} failed on the first process: {failure}")
    return LatencyTable.of_state(state)


def living_in_fit(
    module: "pl.LightningModule", groups: Groups, alive: Mapping[str, Tensor], latency: Latency
) -> tuple[float, float]:
    """Measure the whole network and the network without its dead units, in turn.

    Args:
        module: The module, in a fit with its data loaded.
        groups: The groups by name.
        alive: The living units of those that lose some.
        latency: How the times are measured.

    Returns:
        The time of both, in seconds.
    """
    with without_trace(module.trainer, seed=0), briefly_whole(module):  # Shrink(at="cycles") has made it small
        return measure_living(
            module, call_on_batch(module, _example(module), latency.batch, ASKER), groups, alive, latency
        )


def _example(module: "pl.LightningModule") -> Any:
    return batch_in_fit(module) if module.example_input_array is None else None
