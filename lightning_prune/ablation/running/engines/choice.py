"""Choose an engine by its name and the number of workers."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from lightning_prune.ablation.running.engines.auto import Auto
from lightning_prune.ablation.running.engines.engine import Engine
from lightning_prune.ablation.running.engines.here import Here
from lightning_prune.ablation.running.engines.local import Local
from lightning_prune.basics.user_error import UserError

Chosen = Literal["local", "ray"]


def make_engine(
    name: str, workers: int | Literal["auto"], out: Path, options: Mapping[str, Any] | None = None
) -> Engine:
    """Make an engine.

    Args:
        name: ``"local"`` for this machine, ``"ray"`` for a cluster.
        workers: The number of nodes to train at once, at least 0. 0 trains in this process. On a cluster, 0 trains as
            many nodes as it has room for. ``"auto"`` finds the number on this machine.
        out: The folder of the study.
        options: Further arguments of the engine.

    Raises:
        ValueError: If there is no such engine, or the number is negative.
    """
    if workers == "auto" and name == "local":
        return Auto(out, out / "logs")
    if workers == "auto":
        raise UserError("Ablation.run(workers='auto') finds the number on this machine. With a cluster, give 0.")
    if type(workers) is not int or workers < 0:
        raise UserError(
            f"Ablation.run(workers={workers!r}) must be a whole number, at least 0: 0 trains in this process, or as "
            "many as a cluster has room for. 'auto' finds the number that trains most images a second."
        )
    if name == "ray":
        if find_spec("ray") is None:
            raise UserError("Ablation.run(engine='ray') needs Ray: pip install 'lightning-prune[ray]'")
        from lightning_prune.ablation.running.engines.on_ray import OnRay  # Ray is an extra.

        return OnRay(workers, logs=out / "logs", **(options or {}))
    if name != "local":
        raise UserError(f"Ablation.run(engine={name!r}) is unknown. Give 'local' or 'ray'.")
    return Local(workers, out / "logs") if workers else Here()
