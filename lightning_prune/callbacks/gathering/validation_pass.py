"""Measure a logged metric on the validation data, without a trace in the fit."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torchmetrics import Metric

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.traceless import without_trace

Found = TypeVar("Found")


class Logged:
    """Takes what a module logs, and averages it over samples.

    Attributes:
        batch: The batch that is evaluated, which tells how many samples a value is of.
        suffix: What Lightning appends to the names where there are several loaders.
    """

    def __init__(self) -> None:
        self.batch: Any = None
        self.suffix = ""
        self._sums: dict[str, tuple[Tensor, float]] = {}
        self._metrics: dict[str, Metric] = {}

    def log(
        self, name: str, value: Any, *_: Any, batch_size: int | None = None, add_dataloader_idx: bool = True, **__: Any
    ) -> None:
        """Take a value, as ``LightningModule.log`` does."""
        name += self.suffix if add_dataloader_idx else ""
        if isinstance(value, Metric):
            self._metrics[name] = value
            return
        size = 1 if self.batch is None else batch_size or extract_batch_size(self.batch)
        total, count = self._sums.get(name, (torch.zeros(()), 0.0))
        number = torch.as_tensor(value).detach().double().cpu().mean()
        self._sums[name] = (total + number * size, count + size)

    def log_dict(self, values: Mapping[str, Any], *arguments: Any, **options: Any) -> None:
        """Take several values, as ``LightningModule.log_dict`` does."""
        for name, value in values.items():
            self.log(name, value, *arguments, **options)

    @property
    def names(self) -> list[str]:
        """The names of all values."""
        return sorted({*self._sums, *self._metrics})

    def value(self, trainer: "pl.Trainer", name: str, owner: str) -> float:
        """The value over all samples of all processes.

        Args:
            trainer: The trainer.
            name: The name of the metric.
            owner: Who asks, for the error.

        Raises:
            ValueError: If the module has logged no such value.
        """
        if name in self._metrics:
            return float(self._metrics[name].compute())
        if name not in self._sums:
            known = ", ".join(self.names) or "nothing"
            raise UserError(
                f"{owner}(monitor={name!r}): the validation of {type(trainer.lightning_module).__name__} does not log "
                f"it. It logs {known}."
            )
        both = torch.stack([self._sums[name][0], torch.tensor(self._sums[name][1])]).float()
        total, count = trainer.strategy.reduce(both.to(trainer.strategy.root_device), reduce_op="sum")
        return float(total / count)


def validated(trainer: "pl.Trainer", monitor: str, owner: str, batches: int | None = None) -> float:
    """Validate the network of a fit by its own ``validation_step``, and return a metric that it logs.

    Callbacks are not called, and nothing reaches the loggers. Random state, metrics and attributes are put back.

    Args:
        trainer: The trainer, in a fit.
        monitor: The name of the metric.
        owner: Who asks, for errors.
        batches: How many batches at most. None: as many as the fit validates on.

    Raises:
        ValueError: If the fit has no validation data, or the metric is not logged.
    """
    return _passed(trainer, owner, batches, lambda logged: logged.value(trainer, monitor, owner))


def all_validated(trainer: "pl.Trainer", owner: str) -> dict[str, float]:
    """Validate the network of a fit as :func:`validated` does, and return all that it logs, by name.

    Args:
        trainer: The trainer, in a fit.
        owner: Who asks, for errors.

    Raises:
        ValueError: If the fit has no validation data.
    """
    return _passed(trainer, owner, None, lambda logged: {n: logged.value(trainer, n, owner) for n in logged.names})


def _passed(trainer: "pl.Trainer", owner: str, batches: int | None, read: Callable[[Logged], Found]) -> Found:
    """Validate, and read what was logged before all metrics are put back."""
    module, logged = trainer.lightning_module, Logged()
    loaders = _loaders(trainer, owner)
    several = len(loaders.flattened) > 1
    takes_loader = is_param_in_hook_signature(module.validation_step, "dataloader_idx", min_args=3)
    with without_trace(trainer, seed=0), torch.no_grad():
        module.__dict__.update(log=logged.log, log_dict=logged.log_dict)  # taken away with the other attributes
        module.eval()
        for one in module.modules():
            if isinstance(one, Metric):
                one.reset()
        module.on_validation_epoch_start()
        for batch, index, loader in _taken(loaders, batches):
            batch = trainer.precision_plugin.convert_input(batch)
            batch = module._on_before_batch_transfer(batch, dataloader_idx=loader)
            batch = module._apply_batch_transfer_handler(
                batch, device=trainer.strategy.root_device, dataloader_idx=loader
            )
            logged.batch, logged.suffix = batch, f"/dataloader_idx_{loader}" if several else ""
            with trainer.precision_plugin.forward_context():
                module.validation_step(*([batch, index, loader] if takes_loader else [batch, index]))
        logged.batch, logged.suffix = None, ""
        module.on_validation_epoch_end()
        return read(logged)


def _loaders(trainer: "pl.Trainer", owner: str) -> CombinedLoader:
    """New iterators over the validation data of a fit."""
    loop = trainer.fit_loop.epoch_loop.val_loop
    if trainer.enable_validation and trainer.val_dataloaders is None:  # no epoch of this fit was validated
        trainer.validating = True
        loop.setup_data()
        trainer.training = True
    if not trainer.enable_validation or loop._combined_loader is None or not sum(loop.max_batches):
        raise UserError(f"{owner} looks at a metric of the validation, and this fit has no validation data.")
    loaders = CombinedLoader(loop._combined_loader._iterables, "sequential")
    loaders.limits = loop.max_batches
    return loaders


def _taken(loaders: CombinedLoader, batches: int | None) -> Iterator[tuple[Any, int, int]]:
    for count, one in enumerate(iter(loaders)):
        if batches is not None and count >= batches:
            return
        yield one
