"""Make a network small for a moment, and spread what it holds then over the living places of the whole network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightning_prune.shrinking.attributes import resize_
from lightning_prune.shrinking.slices import Alive, Cut, counts_of, cut_module_, cuts_of, tensors_of
from lightning_prune.structures.groups import Group


@contextmanager
def briefly_small(module: nn.Module, groups: Mapping[str, Group], alive: Alive) -> Iterator[None]:
    """Let a network be small inside this context. Its parameters stay the same objects.

    When the context is left, the network is whole again. What the small network holds is then in the living places, and
    zeros are in all others. If the context is left by an error, what was cut holds what it held before. Tensors in
    which nothing is dead keep what was made of them.

    Args:
        module: The network.
        groups: Its groups by name.
        alive: The living units, by group.

    Example:
        >>> from lightning_prune.structures.groups import Slices
        >>> layer = nn.Linear(2, 3, bias=False)
        >>> rows = Group("layer", 3, (Slices("weight", 0, torch.arange(3), "producer"),))
        >>> with briefly_small(layer, {"layer": rows}, {"layer": torch.tensor([1, 0, 1])}), torch.no_grad():
        ...     layer.out_features
        ...     _ = layer.weight.fill_(7)
        2
        >>> layer.weight.tolist(), layer.out_features
        ([[7.0, 7.0], [0.0, 0.0], [7.0, 7.0]], 3)
    """
    made = dict[str, Tensor]()
    with while_cut(module, groups, alive) as cuts:
        yield
        tensors = tensors_of(module)
        made = {name: tensors[name].detach() for name in cuts}
    whole = tensors_of(module)
    for name, small in made.items():
        spread_(whole[name], small, cuts[name])


@contextmanager
def while_cut(module: nn.Module, groups: Mapping[str, Group], alive: Alive) -> Iterator[Mapping[str, Cut]]:
    """Let a network be small inside this context. Afterwards it is what it was before, with all of its numbers.

    Args:
        module: The network.
        groups: Its groups by name.
        alive: The living units, by group.

    Returns:
        What stays of each tensor.

    Example:
        >>> from lightning_prune.structures.groups import Slices
        >>> layer = nn.Linear(2, 3, bias=False)
        >>> rows = Group("layer", 3, (Slices("weight", 0, torch.arange(3), "producer"),))
        >>> with while_cut(layer, {"layer": rows}, {"layer": torch.tensor([1, 0, 1])}):
        ...     layer(torch.ones(1, 2)).shape
        torch.Size([1, 2])
        >>> layer.weight.shape
        torch.Size([3, 2])
    """
    cuts = cuts_of(groups.values(), alive)
    restore = cut_module_(module, cuts)
    reset = _nothing
    try:
        _, reset = resize_(module, list(cuts), counts_of(groups.values(), alive))
        yield cuts
    finally:
        restore()
        reset()


def spread_(whole: Tensor, small: Tensor, by: Cut) -> None:
    """Undo a cut in place, with zeros in all that was cut away.

    Args:
        whole: The tensor in its whole size.
        small: What its living places are to hold.
        by: The indices of the living places, by dimension.

    Example:
        >>> whole = torch.ones(2, 3)
        >>> spread_(whole, torch.tensor([[5.0, 6.0]]), {0: torch.tensor([1]), 1: torch.tensor([0, 2])})
        >>> whole
        tensor([[0., 0., 0.],
                [5., 0., 6.]])
    """
    dims = range(whole.dim())
    places = [by.get(dim, torch.arange(whole.shape[dim])).to(whole.device) for dim in dims]
    with torch.no_grad():
        whole.zero_()
        whole[tuple(one.view([-1 if dim == place else 1 for place in dims]) for dim, one in enumerate(places))] = small


def _nothing() -> None:
    """There is nothing to undo."""
