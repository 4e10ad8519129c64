"""What a resumed run needs to draw what an uninterrupted one would: the state of every random generator."""

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class RandomState(Callback):
    """Save the random generators of torch, numpy, Python and the GPU with every checkpoint, and put them back.

    Lightning does not. With it, a run that is resumed at an epoch end shuffles, augments and drops out as the
    uninterrupted run does; resumed within an epoch it does so if the data loader keeps its place (torchdata's
    ``StatefulDataLoader``). On several processes it does nothing. ``IterativePruning`` brings it along.

    Example:
        >>> state = RandomState().state_dict()
        >>> first = torch.rand(1)
        >>> put_back(state)
        >>> torch.equal(torch.rand(1), first)
        True
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self._loaded = None

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        if trainer.world_size > 1:  # the checkpoint holds the state of one process, and is no other's
            self._loaded = None
        if self._loaded is not None:
            put_back(self._loaded)

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Go on drawing where the saved run did, with the next epoch's iterator or without.

        An iterator draws when it is made. Resumed within an epoch, it was made before the state was saved. At an epoch
        end it was not, but Lightning has made it by now, and did so too early if somebody asked for the number of steps
        in ``configure_optimizers``: so it is made again, unless the loader has a state of its own, which making the
        iterator has used up.
        """
        if self._loaded is None:
            return
        loop = trainer.fit_loop
        progress = loop.epoch_loop.batch_progress
        if progress.current.completed and not progress.is_last_batch:
            put_back(self._loaded)
        elif loop._combined_loader and not any(hasattr(x, "load_state_dict") for x in loop._combined_loader.flattened):
            put_back(self._loaded)
            iter(loop._data_fetcher)  # type: ignore[arg-type]
        self._loaded = None

    def state_dict(self) -> dict[str, Any]:
        name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global generator, which users draw from
        return {
            "torch": torch.get_rng_state(),
            "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
            "python": random.getstate(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = state_dict


def put_back(state: dict[str, Any]) -> None:
    """Set the random generators to a state of :class:`RandomState`."""
    name, keys, *rest = state["numpy"]
    torch.set_rng_state(state["torch"].cpu())
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
