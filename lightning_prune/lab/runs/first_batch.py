"""The first batch of the data of a run, as its module gets it: what shows the sizes of its inputs."""

from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden

from lightning_prune.basics.user_error import UserError
from lightning_prune.lab.runs.quiet import quiet

ALONE: dict[str, Any] = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


class _FirstBatch(Callback):
    batch: Any = None

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.batch = batch


def batch_of(module: Any, data: Any) -> Any:
    """A batch of the validation data, or of the training data where a run validates nothing.

    Args:
        module: The module of the run.
        data: Its data. None: the module has loaders of its own.

    Returns:
        The batch on the CPU. None if there is no data, but the module has an ``example_input_array``.

    Raises:
        UserError: If there is neither.
    """
    batch = _validated(module, data) if validates(module, data) else None
    batch = _trained(module, data) if batch is None else batch
    if batch is None and getattr(module, "example_input_array", None) is None:
        raise UserError(
            f"The data of {type(module).__name__} has no batch that shows the sizes of its inputs: give a training or "
            "validation loader with batches, or set example_input_array in the module."
        )
    return batch


def validates(module: Any, data: Any) -> bool:
    """Whether a run of this module and data validates.

    Args:
        module: The module.
        data: Its data. None: the module has loaders of its own.
    """
    has_loader = _has("val_dataloader", module, data)
    return has_loader and is_overridden("validation_step", module, LightningModule)


def _validated(module: Any, data: Any) -> Any:
    """The first batch of a validation. A validation knows all hooks that a batch goes through."""
    first = _FirstBatch()
    with quiet():
        trainer = Trainer(accelerator="cpu", devices=1, limit_val_batches=1, callbacks=[first], **ALONE)
        trainer.validate(module, datamodule=data, verbose=False)
    return first.batch


def _trained(module: Any, data: Any) -> Any:
    """The first batch of the training data. Training itself would change the module."""
    if not _has("train_dataloader", module, data):
        return None
    owner = module if data is None else data
    if data is not None and data.trainer is None:
        data.trainer = Trainer(accelerator="cpu", devices=1, **ALONE)  # its hooks may ask it
    owner.prepare_data()
    owner.setup("fit")
    batch, *_ = next(iter(CombinedLoader(owner.train_dataloader(), "max_size_cycle")), (None,))
    for hook in ("on_before_batch_transfer", "on_after_batch_transfer"):
        batch = getattr(data if _overrides(hook, data) else module, hook)(batch, 0)
    return batch


def _has(loader: str, module: Any, data: Any) -> bool:
    return is_overridden(loader, module, LightningModule) if data is None else _overrides(loader, data)


def _overrides(hook: str, data: Any) -> bool:
    return data is not None and is_overridden(hook, data, LightningDataModule)
