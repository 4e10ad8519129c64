"""Set the network that came out beside the one that went in: what both can do, what they weigh, how long they take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from lightning_prune.deployment.profiling.profile_network import profile
from lightning_prune.deployment.profiling.profiled import Profile
from lightning_prune.lab.compress.trained_weights import load_weights
from lightning_prune.lab.runs.first_batch import ALONE, batch_of, validates
from lightning_prune.lab.runs.quiet import quiet
from lightning_prune.lab.shrink_command import made_of
from lightning_prune.structures.overview import text_table

JSON = "profile.json"


def before_and_after(folder: Path, weights: Path, small: LightningModule, data: Any) -> str:
    """Validate both networks, if the run has validation data, and profile them.

    Args:
        folder: The folder of the run, with its config. The profile is written into it.
        weights: The weights of the dense network.
        small: The small network.
        data: The data of the run.

    Returns:
        Tables.
    """
    with quiet():
        dense, its_data = made_of(folder / "config.yaml")
        load_weights(weights, dense)
        batch = batch_of(dense, its_data)
        validated = [_validated(dense, its_data), _validated(small, data)]
        found: Profile = profile(small.cpu(), batch, against=dense, batch=(1, 32), names=("small", "dense"))
    found.save(folder / JSON)
    return "\n\n".join(filter(None, (metrics_table(*validated), str(found))))


def metrics_table(dense: Mapping[str, float], small: Mapping[str, float]) -> str:
    """Lay out the validation metrics of both networks.

    Args:
        dense: The metrics of the dense network, by name.
        small: Those of the small one.

    Example:
        >>> print(metrics_table({"val/accuracy": 0.99}, {"val/accuracy": 0.985}))
        metric        dense   small   change
        val/accuracy  0.9900  0.9850  -0.0050
    """
    names = [name for name in dense if name in small]
    rows = [(name, f"{dense[name]:.4f}", f"{small[name]:.4f}", f"{small[name] - dense[name]:+.4f}") for name in names]
    return "\n".join(text_table([("metric", "dense", "small", "change"), *rows])) if rows else ""


def _validated(module: LightningModule, data: Any) -> dict[str, float]:
    if not validates(module, data):
        return {}
    (found, *_) = [*Trainer(devices=1, **ALONE).validate(module, datamodule=data, verbose=False), {}]
    return {name: float(value) for name, value in found.items()}
