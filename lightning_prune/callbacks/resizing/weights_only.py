"""Let checkpoints that hold weights only say how their network became small. Lightning asks no callback for them."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl

from lightning_prune.basics.checkpoints import SHRUNK
from lightning_prune.shrinking.regrowth import sizes_of
from lightning_prune.shrinking.small_checkpoints import plain_record


def keep_record_with_weights(trainer: "pl.Trainer") -> None:
    """Let a trainer write the record of a small network into checkpoints with ``save_weights_only=True``.

    It stays so when the fit is over, for ``trainer.save_checkpoint(path, weights_only=True)``.

    Args:
        trainer: The trainer of a fit with ``Shrink(at="cycles")``.
    """
    strategy = trainer.strategy
    save = strategy.save_checkpoint
    if getattr(save, "keeps_record", False):
        return

    def recorded(checkpoint: Mapping[str, Any], *args: Any, **options: Any) -> None:
        sizes = sizes_of(trainer.lightning_module)
        small = {} if sizes is None or "callbacks" in checkpoint else {SHRUNK: plain_record(sizes.record)}
        save({**checkpoint, **small}, *args, **options)

    recorded.keeps_record = True  # type: ignore[attr-defined]
    strategy.save_checkpoint = recorded  # type: ignore[method-assign]
