"""What a resumed run needs to draw the same batches and augmentations as an uninterrupted one."""

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class RandomState(Callback):
    """Save torch's random generators with every checkpoint, and put them back before a resumed run goes on."""

    def __init__(self) -> None:
        self._on_gpu = False
        self._restored: dict[str, Tensor] = {}

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self._on_gpu = trainer.strategy.root_device.type == "cuda"

    def state_dict(self) -> dict[str, Any]:
        gpu = {"cuda": torch.cuda.get_rng_state()} if self._on_gpu else {}
        return {"cpu": torch.get_rng_state(), **gpu}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = dict(state_dict)

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        # Not later: Lightning draws for the first epoch of a resumed run before any hook of that epoch.
        if "cpu" in self._restored:
            torch.set_rng_state(self._restored["cpu"].cpu())
        if "cuda" in self._restored and self._on_gpu:
            torch.cuda.set_rng_state(self._restored["cuda"].cpu())
        self._restored = {}
