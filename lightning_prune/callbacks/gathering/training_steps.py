"""Training steps of a module that are made outside of training: the loss of a batch as the fit would compute it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lightning_prune.basics.random_state import seed_all
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.training_batches import loaders_of
from lightning_prune.selection.sharding import is_sharded


def training_steps(trainer: "pl.Trainer", batches: Iterable[Any], seed: int) -> Iterator[Callable[[], Any]]:
    """Prepare the training step of each batch, and let the caller make it.

    A batch goes through the hooks of the module, as in training, and to its device. Hooks of callbacks are not called.
    Use the steps in :func:`~lightning_prune.callbacks.gathering.traceless.without_trace`.

    Args:
        trainer: The trainer, in a fit.
        batches: The batches, on the CPU.
        seed: Decides what the module draws, such as dropout: the same in each pass over the same batches, and other
            numbers for each batch and process.

    Yields:
        A function that makes the step and returns what ``training_step`` does. Batches that the module's
        ``on_train_batch_start`` leaves out have none.
    """
    module = trainer.lightning_module
    takes_index = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
    for index, batch in enumerate(batches):
        batch = trainer.precision_plugin.convert_input(batch)
        batch = module._on_before_batch_transfer(batch)
        batch = module._apply_batch_transfer_handler(batch, device=trainer.strategy.root_device)
        seed_all(seed + index * trainer.world_size + trainer.global_rank)
        if module.on_train_batch_start(batch, index) == -1:  # what training_step looks at may be made there
            continue
        arguments = [batch, index] if takes_index else [batch]

        def step(arguments: list[Any] = arguments) -> Any:
            with trainer.precision_plugin.forward_context():
                return module.training_step(*arguments)

        yield step


def reason_against(module: "pl.LightningModule", weights: Iterable[Tensor]) -> str | None:
    """Say why the training steps of a module cannot be made outside of training. Return None if they can.

    Args:
        module: The module.
        weights: The weights that have to be whole on this process.

    Returns:
        The reason and the remedy.
    """
    if any(map(is_sharded, weights)):
        return "weights are sharded, and whole ones are needed; train with DDP"
    if not module.automatic_optimization:
        return f"{type(module).__name__} optimizes by hand, so its training_step steps and returns no loss"
    if is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True):
        return "training_step(dataloader_iter) fetches its batches itself; take a batch as its argument"
    return None


def refuse_without_steps(trainer: "pl.Trainer", owner: str) -> None:
    """Refuse a fit whose training steps cannot be tried out. Called when its data is loaded.

    Args:
        trainer: The trainer.
        owner: The class and argument that ask, for the error.

    Raises:
        ValueError: If they cannot be tried out. The error says why.
    """
    module = trainer.lightning_module
    reason = reason_against(module, module.parameters())
    if reason is None and any(map(_is_stream, loaders_of(trainer))):
        reason = "the training data is a stream, and what is read from it would be missing in the fit"
    if reason is not None:
        raise UserError(f"{owner} tries out training steps without a trace, which it cannot here: {reason}.")


def loss_in(output: Any) -> Tensor | None:
    """Take the loss out of what ``training_step`` returns. Return None if the batch has no loss."""
    loss: Tensor | None = output.get("loss") if isinstance(output, Mapping) else output
    return loss


def _is_stream(loader: Any) -> bool:
    return not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset)
