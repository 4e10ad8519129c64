"""The masks of networks outside a fit: load them, forget them, and find those of a network again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from lightning_prune.callbacks.without_trainer.network_masks import (
    NetworkMasks,
    mask_for,
    masks_in,
    refuse_other_network,
)
from lightning_prune.masks.packing import pack_bits
from lightning_prune.masks.ticket import Ticket, load_ticket
from lightning_prune.selection.parameters import plain_name

_KNOWN: WeakKeyDictionary[nn.Module, NetworkMasks] = WeakKeyDictionary()


def known_masks(module: nn.Module) -> NetworkMasks:
    """The masks of a network, from its earlier prunes. Masks of nothing if there were none.

    Args:
        module: The network, as :func:`unwrapped` returns it.
    """
    return _KNOWN.get(module) or NetworkMasks({})


def remember_masks(module: nn.Module, masks: NetworkMasks) -> None:
    """Let masks be those of a network from now on.

    Args:
        module: The network, as :func:`unwrapped` returns it.
        masks: Its masks.
    """
    _KNOWN[module] = masks


def load_masks(module: nn.Module, source: Mapping[str, Any] | Ticket | str | Path) -> NetworkMasks:
    """Give a network the masks of another process, and set its dead weights to zero.

    Args:
        module: The network, of the same names and shapes.
        source: The ``state_dict()`` of masks, a ticket, or the path of a ticket.

    Returns:
        The masks, from which :func:`prune` goes on. Hold the optimizer by them again: ``masks.hold(optimizer)``.

    Raises:
        ValueError: If the masks are of another network, or ``source`` is neither of these. The network has not changed
            then.

    Example:
        >>> from lightning_prune import prune
        >>> first, second = nn.Linear(4, 5), nn.Linear(4, 5)
        >>> masks = load_masks(second, prune(first, sparsity=0.8).state_dict())
        >>> masks.alive, int((second.weight != 0).sum())
        (4, 4)
    """
    module = unwrapped(module)
    weights: dict[str, Tensor] = {plain_name(name): weight for name, weight in module.named_parameters()}
    if isinstance(source, str | Path):
        source = load_ticket(source)
    if isinstance(source, Ticket):
        prunes = int(source.header.get("cycle", 1))
        refuse_other_network({name: mask.shape for name, mask in source.masks.items()}, weights)
        bits = {name: pack_bits(mask.byte()) for name, mask in source.masks.items()}
        chosen = {name: weights[name] for name in {**source.header.get("alive", {}), **bits} if name in weights}
        found = {name: mask_for(weights[name], packed) for name, packed in bits.items()}
    else:
        chosen, found = masks_in(source, weights)
        prunes = int(source["prunes"])
    masks = known_masks(module)
    masks.prunes = prunes
    masks.take_(chosen, found)
    remember_masks(module, masks)
    return masks


def forget_masks(module: nn.Module) -> None:
    """Forget the masks of a network and let its optimizers go. The next :func:`prune` begins anew.

    Args:
        module: The network. A network without masks is left as it is.
    """
    masks = _KNOWN.pop(unwrapped(module), None)
    if masks is not None:
        masks.release()


def unwrapped(module: nn.Module) -> nn.Module:
    """The network in the module that ``Fabric.setup`` returned, under whose names its masks are kept.

    Args:
        module: Any module. Others are returned as they are.

    Example:
        >>> from lightning.fabric import Fabric
        >>> network = nn.Linear(2, 2)
        >>> unwrapped(Fabric(accelerator="cpu").setup(network)) is unwrapped(network) is network
        True
    """
    # By its name: `lightning` and `lightning_fabric` have a class each.
    return module.module if type(module).__name__ == "_FabricModule" else module  # type: ignore[return-value]
