"""Find objects with a random generator of their own, which no checkpoint holds and no node can hand to the next."""

import random
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def own_generators(trainer: "pl.Trainer") -> list[str]:
    """Name the objects that have a random generator of their own during the training.

    Args:
        trainer: The trainer of a fit that has loaded its data.

    Returns:
        Names such as ``"DataLoader.generator"``. Loaders, samplers and data sets for training are looked at, and so
        are the module and the data module. A loader or data module with its own ``state_dict`` is trusted to keep
        its generator there, and a module with its own ``on_save_checkpoint`` too. The ``state_dict`` of a module does
        not count, because a generator is no parameter.
    """
    found: list[str] = []
    for owner in _owners(trainer):
        names = [name for name, value in vars(owner).items() if _is_own(value)]
        found += [f"{type(owner).__name__}.{name}" for name in names]
    return list(dict.fromkeys(found))


def _owners(trainer: "pl.Trainer") -> Iterator[Any]:
    loaded = trainer.fit_loop._combined_loader
    data = getattr(trainer, "datamodule", None)
    module = trainer.lightning_module
    if type(module).on_save_checkpoint is pl.LightningModule.on_save_checkpoint:
        yield module
    if data is not None and type(data).state_dict is pl.LightningDataModule.state_dict:
        yield data
    for loader in loaded.flattened if loaded is not None else ():
        parts = (loader, getattr(loader, "sampler", None), getattr(loader, "dataset", None))
        if not hasattr(loader, "state_dict"):
            yield from (part for part in parts if hasattr(part, "__dict__"))


def _is_own(value: Any) -> bool:
    return isinstance(value, GENERATORS) and value is not torch.default_generator
