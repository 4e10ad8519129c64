"""Use the data loaders of a module in a study, whose configs have a data module always."""

from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden


class LoadersOfModule(LightningDataModule):
    """The loaders that the LightningModule itself defines. A loader that it does not define has no batches.

    A study knows the data of a data module by its content. It does not know the data of such loaders: give a changed
    study another folder.

    Example:
        >>> isinstance(LoadersOfModule(), LightningDataModule)
        True
    """

    def train_dataloader(self) -> Any:
        return self._of_module("train_dataloader")

    def val_dataloader(self) -> Any:
        return self._of_module("val_dataloader")

    def test_dataloader(self) -> Any:
        return self._of_module("test_dataloader")

    def _of_module(self, name: str) -> Any:
        module = self.trainer.lightning_module  # type: ignore[union-attr]
        return getattr(module, name)() if is_overridden(name, module) else []


def owner_of_loaders(
    module: LightningModule, data: LightningDataModule | None
) -> LightningModule | LightningDataModule:
    """The object that defines the loaders of a run: its data module, or the module itself.

    Args:
        module: The module.
        data: The data module of the run, if it has one.
    """
    return module if data is None or isinstance(data, LoadersOfModule) else data


def has_loader(module: LightningModule, data: LightningDataModule | None, name: str) -> bool:
    """Whether a run has a loader.

    Args:
        module: The module.
        data: The data module of the run, if it has one.
        name: The loader, such as ``"val_dataloader"``.

    Example:
        >>> has_loader(LightningModule(), None, "val_dataloader")
        False
    """
    return is_overridden(name, owner_of_loaders(module, data))
