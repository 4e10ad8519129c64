"""Log how sparse a network with moving masks is, under the names that every pruned run has."""

import lightning.pytorch as pl

from lightning_prune.masks.tally import Tally


def log_epoch(pl_module: "pl.LightningModule", phase: int, tally: Tally, moved: int) -> None:
    """Log the sparsity, from whole numbers, and how many weights came back.

    Args:
        pl_module: The module, in a hook that may log.
        phase: The number of the phase, which stands for the cycle.
        tally: What lives.
        moved: How many weights came back in the epoch.
    """
    dead = tally.size - tally.alive
    weights = sum(parameter.numel() for parameter in pl_module.parameters())
    pl_module.log("pruning/sparsity", dead / tally.size, prog_bar=True)
    pl_module.log_dict(
        {
            "pruning/cycle": float(phase),
            "pruning/density": tally.alive / tally.size,
            "pruning/model_sparsity": dead / weights,
            "pruning/model_density": (weights - dead) / weights,
            "pruning/regrown": float(moved),
        }
    )
