"""A few batches of the training data, drawn without moving the place of the loader that trains."""

import copy
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils._pytree import tree_map
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
)

from lightning_prune.basics.random_state import seed_all
from lightning_prune.basics.user_error import UserError

_WHOLE = (SequentialSampler, RandomSampler, DistributedSampler)  # samplers that go through all of the data


def draw(trainer: "pl.Trainer", count: int, seed: int) -> list[Any]:
    """Draw batches of the training data, as new and plain loaders of the same data sets give them.

    Loaders that draw at random or in order give a random sample of their data. The sample is the same on one process as
    on several together. A loader with a sampler of its own uses this sampler. Streams begin at their start.

    Args:
        trainer: The trainer, in a fit.
        count: How many batches, at least 1. Fewer batches come if there is less data.
        seed: Decides which batches are drawn. It also seeds the global generators of this process.

    Returns:
        Batches on the CPU, the same number on every process.

    Raises:
        ValueError: If there is no batch, or a stream cannot be read without moving its place.
    """
    seed_all(seed + trainer.global_rank)  # for transforms that draw
    fresh = _combined(trainer, lambda loader: _fresh(loader, trainer, count, seed))
    batches = [batch for batch, *_ in islice(iter(fresh), count)]
    common = int(
        trainer.strategy.reduce(torch.tensor(len(batches), device=trainer.strategy.root_device), reduce_op="min")
    )
    if not common:
        raise UserError(
            "IterativePruning(criterion=...) takes gradients on batches of the training data, and found none on every "
            "process: give more data, smaller batches, or a criterion without gradients, such as "
            "lightning_prune.magnitude."
        )
    return batches[:common]


def as_in_training(trainer: "pl.Trainer", count: int | None, seed: int) -> Iterator[Any]:
    """Go through the training data as an epoch does, with workers and all, by copies of its samplers.

    Args:
        trainer: The trainer, in a fit. Its loaders are no streams.
        count: How many batches, at least 1. None for as many as an epoch has.
        seed: Decides what samplers draw that have a generator of their own.

    Returns:
        Batches on the CPU. Each process has its own batches.
    """
    limit = int(trainer.num_training_batches)
    combined = _combined(trainer, lambda loader: renewed(loader, seed))
    return (batch for batch, *_ in islice(iter(combined), limit if count is None else min(count, limit)))


def loaders_of(trainer: "pl.Trainer") -> list[Any]:
    """The loaders of the training data of a fit.

    Args:
        trainer: The trainer.

    Raises:
        RuntimeError: If the fit has not begun.
    """
    loaders: list[Any] = _of_fit(trainer).flattened
    return loaders


def renewed(loader: Any, seed: int) -> Any:
    """Make a loader of the same data in the order of a copied sampler, which loads as the given one does.

    Args:
        loader: A loader that is no stream. It does not move.
        seed: Decides what samplers draw that have a generator of their own.
    """
    batched = loader.batch_sampler is not None
    order = _twin(loader.batch_sampler if batched else loader.sampler, loader, seed)
    return DataLoader(
        loader.dataset,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        **({"batch_sampler": order} if batched else {"sampler": order, "batch_size": None}),
    )


def _of_fit(trainer: "pl.Trainer") -> CombinedLoader:
    combined = trainer.fit_loop._combined_loader
    if combined is None:
        raise RuntimeError("There is no training data before the fit has begun.")
    return combined


def _combined(trainer: "pl.Trainer", other: Callable[[Any], Any]) -> CombinedLoader:
    """The loaders of a fit, each exchanged for another one, and combined in the same way."""
    combined = _of_fit(trainer)
    return CombinedLoader(tree_map(other, combined._iterables), combined._mode)


def _fresh(loader: Any, trainer: "pl.Trainer", count: int, seed: int) -> Any:
    """A loader of the same data that shares nothing with the given one but the data."""
    if not isinstance(loader, DataLoader):
        return _copy(loader)
    options: dict[str, Any] = {"collate_fn": loader.collate_fn, "generator": torch.Generator().manual_seed(seed)}
    if isinstance(loader.dataset, IterableDataset):
        return DataLoader(_copy(loader.dataset), loader.batch_size, drop_last=loader.drop_last, **options)
    if type(loader.batch_sampler) not in (BatchSampler, type(None)):
        return DataLoader(loader.dataset, batch_sampler=_twin(loader.batch_sampler, loader, seed), **options)
    size, joint = loader.batch_size, (loader.batch_size or 1) * trainer.world_size
    if isinstance(loader.sampler, (*_WHOLE, SubsetRandomSampler)):
        chosen = _order(loader, trainer, seed)[: count * joint]
        chosen = chosen[: len(chosen) - len(chosen) % (joint if len(chosen) >= joint else trainer.world_size)]
        return DataLoader(loader.dataset, size, sampler=chosen[trainer.global_rank :: trainer.world_size], **options)
    own = islice(_twin(loader.sampler, loader, seed), count * (size or 1))
    return DataLoader(loader.dataset, size, sampler=list(own), **options)


def _order(loader: Any, trainer: "pl.Trainer", seed: int) -> list[int]:
    """A random order of what a loader gives, the same on every process."""
    indices = getattr(loader.sampler, "indices", None)
    pool = list(range(len(loader.dataset)) if indices is None else indices)
    if trainer.overfit_batches:  # type: ignore[attr-defined]
        pool = pool[: int(trainer.num_training_batches) * (loader.batch_size or 1) * trainer.world_size]
    return [pool[i] for i in torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)).tolist()]


def _twin(sampler: Any, loader: Any, seed: int) -> Any:
    """A copy of a sampler, over the same data, that draws by a generator of its own."""
    return copy.deepcopy(sampler, {id(loader.dataset): loader.dataset, **_generators(sampler, seed)})


def _generators(sampler: Any, seed: int) -> dict[int, Any]:
    """Generators cannot be copied: what stands in their place, by the identity of the original."""
    found = [
        vars(one).get("generator") for one in (sampler, getattr(sampler, "sampler", None)) if hasattr(one, "__dict__")
    ]
    return {id(one): torch.Generator().manual_seed(seed) for one in found if one is not None}


def _copy(stream: Any) -> Any:
    try:
        return copy.deepcopy(stream)
    except Exception as error:
        raise UserError(
            "IterativePruning(criterion=...) takes gradients on batches of the training data, and "
            f"{type(stream).__name__} cannot be copied to read them without moving its place ({error}). Give it a "
            "__deepcopy__, or a criterion without gradients, such as lightning_prune.magnitude."
        ) from error
