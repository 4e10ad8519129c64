"""The batches that networks are measured on: the same in every pass, and shared out among the processes."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
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
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.gathering.training_batches import renewed
from lightning_prune.regimes.sums import rank, world_size

_DRAWN = (RandomSampler, SubsetRandomSampler, DistributedSampler)


class SteadyBatches:
    """Data that gives the same batches in every pass.

    A loader that shuffles is read in one order that ``seed`` draws, with its last batch. A loader that does not shuffle
    is read in its own order. On several processes, each gets every n-th batch, so that together they see what one
    process alone would. Loaders with a sampler or a stream of their own, and other collections of batches, are read
    as they are: each process then brings its own share.

    Args:
        data: A ``DataLoader``, a ``LightningDataModule`` that is set up (its training data), or a collection of
            batches.
        count: How many of the first batches, at least 1. None for all.
        seed: Decides the order, and what transforms draw, in [0, 2^63).
        asker: What asks, for the errors.

    Raises:
        ValueError: If the data can be read only once, or there are fewer batches than processes.
    """

    def __init__(self, data: Any, count: int | None, seed: int, asker: str) -> None:
        self._module = data if isinstance(data, everywhere(pl.LightningDataModule)) else None
        self._data = data if self._module is None else self._module.train_dataloader()
        self._count, self._seed, self._asker = count, seed, asker
        self._order = _order_of(self._data, seed)
        if self._order is not None:
            _refuse_too_few(self._order[:count], asker)
            self._order = self._order[:count][rank() :: world_size()]
        if isinstance(self._data, Mapping | str) or (
            isinstance(self._data, list | tuple) and any(isinstance(one, DataLoader) for one in self._data)
        ):
            raise UserError(f"{asker}(data=...) is read batch for batch: give one loader, or a list of batches.")
        if not hasattr(self._data, "__iter__") and not hasattr(self._data, "__getitem__"):
            raise UserError(
                f"{asker}(data={data!r}) has no batches: give a DataLoader, a LightningDataModule that is set up, or a "
                "list of batches."
            )
        if isinstance(self._data, Iterator):
            raise UserError(f"{asker}(data=...) is read several times, and an iterator can be read once: give a list.")

    def on(self, *modules: nn.Module) -> Iterator[tuple[Any, ...]]:
        """Read the batches of this process for modules: each on its device, in its precision, after its hooks.

        The global random generators are seeded anew with each batch. Use it where they are put back.

        Args:
            *modules: The modules.

        Raises:
            ValueError: If there is no batch.
        """
        seed_all(self._seed)
        index = -1
        for index, batch in enumerate(self._read()):
            yield tuple(self._moved(batch, module, index) for module in modules)
        if index < 0:
            raise UserError(f"{self._asker}(data=...) has no batch for process {rank()}: give at least one to each.")

    def _read(self) -> Iterable[Any]:
        if self._order is None:
            shuffled = isinstance(self._data, DataLoader) and not isinstance(self._data.dataset, IterableDataset)
            return islice(renewed(self._data, self._seed) if shuffled else self._data, self._count)
        return DataLoader(
            self._data.dataset,
            batch_sampler=self._order,
            collate_fn=self._data.collate_fn,
            num_workers=self._data.num_workers,
            worker_init_fn=self._data.worker_init_fn,
            multiprocessing_context=self._data.multiprocessing_context,
            generator=torch.Generator().manual_seed(self._seed),  # of which the workers get their seeds
        )

    def _moved(self, batch: Any, module: nn.Module, index: int) -> Any:
        seed_all(self._seed + index)  # a hook that augments draws the same for every module in every pass
        example = next(module.parameters(), torch.zeros(()))
        batch = self._hooks(module, "on_before_batch_transfer")(batch, 0)
        batch = self._hooks(module, "transfer_batch_to_device")(batch, example.device, 0)
        batch = self._hooks(module, "on_after_batch_transfer")(batch, 0)
        return tree_map(lambda leaf: _in_precision(leaf, example.dtype), batch)

    def _hooks(self, module: nn.Module, hook: str) -> Any:
        """A hook of the data module, if it has one, else that of the module, as in Lightning."""
        kinds = everywhere(pl.LightningDataModule)
        if self._module is not None and any(
            is_overridden(hook, self._module, kind) for kind in kinds if isinstance(self._module, kind)
        ):
            return getattr(self._module, hook)
        return getattr(module if isinstance(module, everywhere(pl.LightningModule)) else _PLAIN, hook)


def size_of(batch: Any) -> int:
    """How many examples a batch has: the length of its first tensor.

    Example:
        >>> size_of({"x": torch.zeros(3, 2)})
        3
    """
    return next((len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor) and leaf.dim()), 1)


_PLAIN = pl.LightningModule()  # whose hooks move a batch to the device, and do nothing else


def _order_of(loader: Any, seed: int) -> list[list[int]] | None:
    """The indices of all batches. None for a loader whose order is its own affair."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    plain = type(loader.batch_sampler) is BatchSampler and type(loader.sampler) in (SequentialSampler, *_DRAWN)
    if not plain or loader.batch_size is None:
        return None
    indices = getattr(loader.sampler, "indices", None)
    pool = list(range(len(loader.dataset)) if indices is None else indices)  # type: ignore[arg-type]
    if isinstance(loader.sampler, _DRAWN) and getattr(loader.sampler, "shuffle", True):
        pool = [pool[i] for i in torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)).tolist()]
    return [pool[i : i + loader.batch_size] for i in range(0, len(pool), loader.batch_size)]


def _refuse_too_few(order: list[list[int]], asker: str) -> None:
    """Refuse it on all processes, since those with a batch would wait for those without."""
    if len(order) < world_size():
        raise UserError(
            f"{asker}(data=...) has {len(order)} batches for {world_size()} processes: give at least one to each."
        )


def _in_precision(leaf: Any, dtype: torch.dtype) -> Any:
    both = isinstance(leaf, Tensor) and leaf.is_floating_point() and dtype.is_floating_point
    return leaf.to(dtype) if both else leaf
