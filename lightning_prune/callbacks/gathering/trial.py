"""How training steps are tried out: on a copy of the module, with batches of their own, and without a trace."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning_utilities.core.apply_func import apply_to_collection
from torch.utils.data import DataLoader, IterableDataset

from lightning_prune.basics.random_state import forked
from lightning_prune.selection.sharding import is_sharded


@contextmanager
def trial(trainer: "pl.Trainer", seed: int) -> Iterator["pl.LightningModule"]:
    """A copy of the module, with the same parameters and with buffers, metrics and attributes of its own.

    What its training steps log goes nowhere, nothing is differentiated, and random generators are put back.

    Args:
        trainer: The trainer.
        seed: Decides what is drawn.

    Yields:
        The copy; its parameters are those of the module itself and not to be changed.
    """
    module, loggers = trainer.lightning_module, trainer.loggers
    shared: dict[int, Any] = {id(trainer): trainer, **{id(one): one for one in module.parameters()}}
    copied = copy.deepcopy(module, shared)
    copied.trainer = trainer  # a copy has none
    copied.log = _nothing  # type: ignore[method-assign]
    trainer.loggers = [DummyLogger()]
    try:
        with forked(seed), torch.no_grad(), trainer.precision_plugin.forward_context():
            yield copied
    finally:
        trainer.loggers = loggers


def training_steps(
    trainer: "pl.Trainer", module: "pl.LightningModule", batches: int | None
) -> Iterator[Callable[[], Any]]:
    """The training steps of a module over the training data, one after another, not yet made.

    The batches come from new loaders over the same data: with copies of the samplers, so that those of the fit keep
    their places. On several processes each has its own.

    Args:
        trainer: The trainer, with its data loaded.
        module: The copy of its module in a :func:`trial`.
        batches: How many, at least 1; None for as many as an epoch has.

    Yields:
        A function that makes the step.
    """
    limit = int(trainer.num_training_batches)
    for batch, index, _ in islice(iter(_renewed(trainer)), limit if batches is None else min(batches, limit)):
        batch = trainer.precision_plugin.convert_input(batch)
        batch = module._on_before_batch_transfer(batch)
        batch = module._apply_batch_transfer_handler(batch, device=trainer.strategy.root_device)
        arguments = (batch, index)[: len(signature(module.training_step).parameters)]
        yield lambda arguments=arguments: module.training_step(*arguments)  # type: ignore[misc]


def refuse_trial(trainer: "pl.Trainer", owner: str) -> None:
    """Refuse a fit whose training steps cannot be tried out; when its data is loaded.

    Args:
        trainer: The trainer.
        owner: The class and argument that ask, for the error.

    Raises:
        ValueError: Says why.
    """
    module, combined = trainer.lightning_module, trainer.fit_loop._combined_loader
    loaders = [] if combined is None else combined.flattened
    reason = None
    if not module.automatic_optimization:
        reason = "with manual optimization a training step makes optimizer steps"
    elif any(is_sharded(parameter) for parameter in module.parameters()):
        reason = "the weights are spread over several devices"
    elif not all(isinstance(one, DataLoader) and not isinstance(one.dataset, IterableDataset) for one in loaders):
        reason = "the training data is a stream, and what is read from it would be missing in the fit"
    if reason is not None:
        raise ValueError(f"{owner} tries out training steps without a trace, which it cannot here: {reason}.")


def _renewed(trainer: "pl.Trainer") -> CombinedLoader:
    combined = trainer.fit_loop._combined_loader
    assert combined is not None  # the data of a fit that has begun is loaded
    return CombinedLoader(apply_to_collection(combined.iterables, DataLoader, _renew), combined._mode)


def _renew(loader: DataLoader[Any]) -> DataLoader[Any]:
    shared = {id(loader.dataset): loader.dataset}
    batched = loader.batch_sampler is not None
    order = copy.deepcopy(loader.batch_sampler if batched else loader.sampler, shared)
    how: dict[str, Any] = {"batch_sampler": order} if batched else {"sampler": order, "batch_size": None}
    return DataLoader(
        loader.dataset,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        **how,
    )


def _nothing(*_: Any, **__: Any) -> None:
    """Log nothing."""
