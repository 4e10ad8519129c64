"""Several processes, one set of masks: the first decides, all take over, and it is checked."""

import hashlib
from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.masks.masks import Masks

REFUSED = {
    "FSDPStrategy": "flattens weights into shards without shapes",
    "DeepSpeedStrategy": "keeps its own copies of the weights, which would revive dead ones",
}


def refuse_strategy(strategy: object, asker: str = "IterativePruning") -> None:
    """Refuse strategies under which weights are not where the masks are, and precisions that replace them.

    Args:
        strategy: The Trainer's strategy.
        asker: The class of the callback, for the error.

    Raises:
        ValueError: If it is one of them. The error says why and what to do.
    """
    refuse_precision(getattr(strategy, "precision_plugin", None), asker)
    for kind in type(strategy).__mro__:
        if kind.__name__ in REFUSED:
            raise UserError(
                f"{asker} cannot prune under {kind.__name__}: it {REFUSED[kind.__name__]}; use DDP, or FSDP2 "
                "(ModelParallelStrategy)."
            )


def refuse_precision(precision: object, asker: str = "IterativePruning") -> None:
    """Refuse precisions that put weights of their own in the place of the module's.

    Args:
        precision: The Trainer's precision plugin.
        asker: The class of the callback, for the error.

    Raises:
        ValueError: If it is one of them. The error says why and what to do.
    """
    for kind in type(precision).__mro__:
        if kind.__name__ in ("TransformerEnginePrecision", "BitsandbytesPrecision"):
            raise UserError(
                f"{asker} cannot prune under {kind.__name__}: it replaces linear layers by some whose weights "
                "have a format of their own, which masks do not reach; train with Trainer(precision='bf16-mixed')."
            )


def take_from_first(trainer: "pl.Trainer", masks: Masks) -> None:
    """Take over the masks of the first process.

    Args:
        trainer: The trainer.
        masks: The masks of this process, replaced.
    """
    if trainer.world_size > 1:
        masks.unpack_(trainer.strategy.broadcast(masks.pack()))


def check_agreement(trainer: "pl.Trainer", masks: Masks) -> None:
    """Compare the masks of all processes.

    Args:
        trainer: The trainer.
        masks: The masks of this process.

    Raises:
        RuntimeError: If they differ. The error names the tensors.
    """
    if trainer.world_size == 1:
        return
    digests: list[dict[str, str]] = [{} for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(digests, digest(masks.pack()))
    first = digests[0]
    differing = sorted({name for other in digests for name in other | first if other.get(name) != first.get(name)})
    if differing:
        raise RuntimeError(
            f"The processes hold different masks for {', '.join(differing)}: each would train another network. Were "
            "they resumed from different checkpoints, or did a callback set masks on one of them?"
        )


def digest(packed: Mapping[str, Tensor]) -> dict[str, str]:
    """A short name for each packed mask, equal if and only if the masks are.

    Example:
        >>> digest({"a": torch.tensor([1, 2], dtype=torch.uint8)})
        {'a': 'a12871fee210fb86'}
    """
    return {name: hashlib.sha256(bits.numpy().tobytes()).hexdigest()[:16] for name, bits in packed.items()}
