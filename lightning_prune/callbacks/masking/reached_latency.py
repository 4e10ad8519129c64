"""Measure what a run with ``measure="latency"`` has reached when it is over."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info

from lightning_prune.callbacks.gathering.latency_in_fit import living_in_fit
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.granularity.latency_table import Timed


def reached_latency(pruner: Pruner, trainer: "pl.Trainer") -> dict[str, Any]:
    """Measure the whole network and the network without its dead units, and print both times and their ratio.

    Args:
        pruner: The owner of the masks.
        trainer: The trainer, when training ends. The first process measures.

    Returns:
        Both times in seconds, their ratio, and the ratio that was estimated, under ``"latency_reached"``. Empty for any
        other measure, where nothing is dead, and on the other processes.
    """
    living, measure = pruner.living_network(), pruner.measure
    if not isinstance(measure, Timed) or living is None or not living.alive or not trainer.is_global_zero:
        return {}
    latency = measure.table.latency
    alive = {name: one for name, one in living.alive.items() if name in measure.table.alone}
    whole, left = living_in_fit(trainer.lightning_module, measure.groups, alive, latency)
    estimated = measure.left(pruner.masks.living) / measure.total()
    rank_zero_info(
        f"measure='latency': a forward pass takes {1e3 * whole:.3g} ms with all units and {1e3 * left:.3g} ms without "
        f"the dead ones (batch {latency.batch}, threads {latency.threads}): x {left / whole:.2f}. The estimate was x "
        f"{estimated:.2f}."
    )
    return {"latency_reached": {"whole": whole, "left": left, "ratio": left / whole, "estimate": estimated}}
