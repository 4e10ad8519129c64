"""Shuffle masks but keep their counts. These controls test whether it matters which weights are left.

Each function works on the cycles in which weights die. So all masks of a run are shuffled in the same way, and each
mask still lies within the mask before it. All random numbers are drawn on the CPU from a seed.

Reference: the branch ``randomly_prune`` of open_lth, https://github.com/facebookresearch/open_lth, after Frankle,
Dziugaite, Roy & Carbin, Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, 2021,
https://arxiv.org/abs/2009.08576.
"""

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Shuffle = Callable[[Mapping[str, Tensor], int], dict[str, Tensor]]


def layerwise(deaths: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Shuffle the entries within each tensor. Each tensor keeps as many weights as before, in every cycle.

    Args:
        deaths: The cycle in which each weight dies, by the name of its tensor.
        seed: The seed of the order.

    Returns:
        The same tensors, with their entries in another order.

    Example:
        >>> layerwise({"a": torch.arange(4)}, seed=0)["a"].sort().values
        tensor([0, 1, 2, 3])
    """
    return {
        name: death.flatten()[_order(death.numel(), seed, "layerwise", name)].view(death.shape)
        for name, death in deaths.items()
    }


def globally(deaths: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Shuffle the entries of all tensors together. As many weights live as before, but the counts per tensor change.

    Args:
        deaths: The cycle in which each weight dies, by the name of its tensor.
        seed: The seed of the order.

    Returns:
        Tensors of the same shapes, with all entries in another order.

    Example:
        >>> found = globally({"a": torch.zeros(3), "b": torch.ones(5)}, seed=0)
        >>> int(found["a"].sum() + found["b"].sum())
        5
    """
    joint = _joint(deaths)
    return _divided(joint[_order(joint.numel(), seed, "globally")], deaths)


def even(deaths: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Give all tensors the same sparsity, at random places. As many weights live as before.

    All weights stand in one fixed order, in which the tensors take turns in proportion to their sizes. The first
    weights in this order live the longest. So every tensor keeps its share to within half a weight, and no dead weight
    comes back.

    Args:
        deaths: The cycle in which each weight dies, by the name of its tensor.
        seed: The seed of the order within each tensor.

    Returns:
        Tensors of the same shapes, with the same entries spread evenly.

    Example:
        >>> found = even({"a": torch.zeros(4), "b": torch.ones(8)}, seed=0)
        >>> int(found["a"].sum()), int(found["b"].sum())
        (3, 5)
    """
    joint = _joint(deaths)
    turns = [_turns(death.numel(), seed, name) for name, death in deaths.items()]
    dealt = torch.empty_like(joint)
    dealt[torch.cat(turns).argsort(stable=True)] = joint.sort(descending=True).values
    return _divided(dealt, deaths)


SHUFFLES: Mapping[str, Shuffle] = {"layerwise": layerwise, "globally": globally, "even": even}


def _turns(size: int, seed: int, name: str) -> Tensor:
    """The place of each weight of a tensor in the common order, in (0, 1)."""
    return (_order(size, seed, "even", name).double() + 0.5) / max(size, 1)


def _order(size: int, *parts: object) -> Tensor:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randperm(size, generator=generator)


def _joint(deaths: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([death.flatten() for death in deaths.values()])


def _divided(joint: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    parts = torch.split(joint, [death.numel() for death in like.values()])
    return {name: part.view(death.shape) for (name, death), part in zip(like.items(), parts, strict=True)}
