"""Find the groups of units of a network, and what cannot be removed from it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.selection.parameters import plain_name
from lightning_prune.structures.counting import costs_in
from lightning_prune.structures.groups import Counted, FoundStructures, Group, Kept, Slices
from lightning_prune.structures.running import trace_of
from lightning_prune.structures.sides import FILTER_SIZE, Side, sides_of
from lightning_prune.structures.splits import settle_splits
from lightning_prune.structures.trace import Trace

FIXED_MODULES: Mapping[type, str] = {
    nn.MultiheadAttention: "nn.MultiheadAttention refuses a width other than embed_dim",
}
ALONE = "it is the only unit"
UNREAD = "no weight reads it"
UNUSED = "the forward pass does not use it"


def structures_of(module: nn.Module, example: Any = None) -> FoundStructures:
    """Find the units of a network that can be removed: channels, heads, neurons.

    The network runs once, in eval mode and without gradients, on the first sample of the example. Afterwards its mode,
    parameters, buffers, hooks and attributes and the random state are as before. What an operation mixes, such as the
    channels of a LayerNorm, and what goes through an operation that we do not know, is in ``kept``, with the reason.

    Args:
        module: The network. It may be on the meta device, for which nothing is computed.
        example: A batch for ``training_step`` if the module has one, otherwise the input of ``forward``: a tensor, or a
            tuple of positional or a dictionary of named arguments. None: ``example_input_array``, for ``forward``.

    Returns:
        The groups, what is kept and why, and the costs.

    Raises:
        ValueError: If there is no example, or the network does not run on it.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> print(structures_of(network, torch.ones(1, 3, 8, 8)))
        group  units  weights  operations  coupled  tensors and dimensions
        0      8      99.2 %   100.0 %     no       0.weight[0], 0.bias[0], 1.weight[0], 1.bias[0], 3.weight[1]
        <BLANKLINE>
        Never removed:
          aten.convolution reads data of a fixed size in 0: 0.weight[1]
          the network returns it: 3.weight[0], 3.bias[0]
    """
    trace = trace_of(module, example)
    settle_splits(trace)
    sides, bad = sides_of(trace)
    members = _members(sides, bad)
    groups, unit_of = _groups(trace, sides, members, dict(module.named_modules()))
    named = (*module.named_parameters(), *module.named_buffers())
    shapes = {plain_name(name): tuple(tensor.shape) for name, tensor in named}
    costs = costs_in(module, trace, groups, unit_of)
    return FoundStructures(groups, tuple(_kept(module, sides, unit_of, bad)), shapes, costs)


def _members(sides: Sequence[Side], bad: dict[int, str]) -> dict[tuple[int, ...], list[int]]:
    """The sets by the sides on which they lie. What nothing computes or reads is added to ``bad``."""
    places: dict[int, list[int]] = defaultdict(list)
    for number, side in enumerate(sides):
        for root in dict.fromkeys(side.roots.tolist()):
            if root not in bad:
                places[root].append(number)
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for root, numbers in places.items():
        found[tuple(numbers)].append(root)
    for signature, roots in list(found.items()):
        roles = {sides[number].axis.role for number in signature}
        reason = ALONE if len(roots) < 2 else UNREAD if "consumer" not in roles else None
        reason = "nothing computes it" if roles <= {"consumer", "statistic", None} else reason
        if reason is not None:
            bad.update(dict.fromkeys(roots, reason))
            del found[signature]
    return found


def _groups(
    trace: Trace, sides: Sequence[Side], members: Mapping[tuple[int, ...], list[int]], modules: Mapping[str, nn.Module]
) -> tuple[dict[str, Group], dict[int, tuple[str, int]]]:
    literal, summed = trace.labels.reasons(trace.labels.literal), trace.labels.reasons(trace.labels.summed)
    counted = [(one, trace.labels.roots(one.labels).tolist()) for one in trace.counted]
    names = _names([[sides[number] for number in numbers] for numbers in members])
    groups, unit_of = dict[str, Group](), dict[int, tuple[str, int]]()
    for name, (numbers, roots) in zip(names, members.items(), strict=True):
        units = {root: unit for unit, root in enumerate(roots)}
        unit_of |= {root: (name, unit) for root, unit in units.items()}
        slices = tuple(_slices([sides[number] for number in numbers], units))
        falling = tuple(
            Counted(one.module, one.attribute, _units(found, units))
            for one, found in counted
            if not units.keys().isdisjoint(found)
        )
        obstacle = next((literal[root] for root in roots if root in literal), None) or _fixed(slices, modules)
        groups[name] = Group(name, len(roots), slices, falling, obstacle, any(root in summed for root in roots))
    return groups, unit_of


def _slices(sides: Sequence[Side], units: Mapping[int, int]) -> Iterator[Slices]:
    computed = any(side.axis.role == "producer" and not side.axis.bias for side in sides)
    for side in sides:
        role = side.axis.role or "within"
        role = "producer" if role == "within" and not computed else role
        yield Slices(side.axis.tensor, side.dim, _units(side.roots.tolist(), units), role, side.axis.bias)


def _units(roots: Sequence[int], units: Mapping[int, int]) -> Tensor:
    return torch.tensor([units.get(root, -1) for root in roots], dtype=torch.int64)


def _names(groups: Sequence[Sequence[Side]]) -> list[str]:
    """Name each group after the module of its first producer, or the producer itself if groups share the module."""
    firsts = []
    for sides in groups:
        made = [side for side in sides if side.axis.role == "producer" and not side.axis.bias]
        firsts.append((made or list(sides))[0].axis.tensor)
    modules = [first.rpartition(".")[0] or first for first in firsts]
    names = [module if modules.count(module) == 1 else first for module, first in zip(modules, firsts, strict=True)]
    return [name if names.count(name) == 1 else f"{name}[{names[:i].count(name)}]" for i, name in enumerate(names)]


def _fixed(slices: Sequence[Slices], modules: Mapping[str, nn.Module]) -> str | None:
    """The reason of a module whose code holds its sizes."""
    plain = {plain_name(name): module for name, module in modules.items()}
    for one in slices:
        owner = one.tensor.rpartition(".")[0]
        for name in (owner, owner.removesuffix(".out_proj")):
            for kind, reason in FIXED_MODULES.items():
                if isinstance(plain.get(name), kind):
                    return f"{reason} ({name})"
    return None


def _kept(
    module: nn.Module, sides: Sequence[Side], unit_of: Mapping[int, Any], bad: Mapping[int, str]
) -> Iterator[Kept]:
    parameters = {plain_name(name) for name, _ in module.named_parameters()}
    for side in sides:
        roots = side.roots.tolist()
        if side.axis.tensor in parameters and not any(root in unit_of for root in roots):
            reason = next((bad[root] for root in roots if root in bad), "its units cannot be told apart")
            if reason != FILTER_SIZE:
                yield Kept(side.axis.tensor, side.dim, reason)
    for name in sorted(parameters - {side.axis.tensor for side in sides}):
        yield Kept(name, 0, UNUSED)
