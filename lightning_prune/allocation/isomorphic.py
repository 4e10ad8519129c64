"""Let only groups of the same kind compete with each other, or none."""

from collections import defaultdict
from collections.abc import Mapping

from torch import Size

from lightning_prune.allocation import globally, layerwise
from lightning_prune.allocation.budget import Counts, budget_of, spend
from lightning_prune.criteria.scores import Scores


def isomorphic(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the same fraction of each kind of groups, and within a kind the highest scores of all its groups together.

    With ``Structures()`` a kind is what the tensors of a group do with its units, and along which dimension: the heads
    of all attention layers are of one kind, and the channels of a residual stream of another. For single weights,
    filters and blocks, a kind is the number of dimensions of the weight. Scores of one kind can be compared where
    scores of different kinds cannot.

    Reference: Fang et al., Isomorphic Pruning for Vision Models, 2024, https://arxiv.org/abs/2407.04616.

    Args:
        scores: The scores of all prunable units.
        density: The fraction of all units to keep, in (0, 1].

    Returns:
        The number of units that each group keeps.

    Example:
        >>> import torch
        >>> given = {"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([7.0, 1.0]), "c": torch.tensor([[0.2, 0.1]])}
        >>> globally(Scores.of(given), density=0.5), isomorphic(Scores.of(given), density=0.5)
        ({'a': 2, 'b': 1, 'c': 0}, {'a': 2, 'b': 0, 'c': 1})
    """
    budget_of(scores, density)  # refuses a density that keeps nothing
    members: dict[str, list[str]] = defaultdict(list)
    for name in scores:
        members[scores.kinds[name]].append(name)
    sizes = {kind: sum(scores.shapes[name].numel() for name in names) for kind, names in members.items()}
    living = {kind: sum(scores.living[name] for name in names) for kind, names in members.items()}
    of_kinds = Scores({kind: Size([size]) for kind, size in sizes.items()}, living, scores.__getitem__)
    counts: dict[str, int] = {}
    for kind, count in spend(dict.fromkeys(members, density), of_kinds, density).items():
        names = members[kind]
        counts |= globally(scores.among(names), count / sizes[kind]) if count else dict.fromkeys(names, 0)
    return Counts({name: counts[name] for name in scores})


def per_group(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the same fraction of every group of units. It is ``layerwise`` by the name that groups go with.

    Reference: Liu et al., Rethinking the Value of Network Pruning, 2019, https://arxiv.org/abs/1810.05270 (uniform
    pruning of channels).

    Args:
        scores: The scores of all prunable units.
        density: The fraction of each group to keep, in (0, 1].

    Returns:
        The number of units that each group keeps.

    Example:
        >>> import torch
        >>> per_group(Scores.of({"a": torch.rand(8), "b": torch.rand(16)}), density=0.5)
        {'a': 4, 'b': 8}
    """
    return layerwise(scores, density)
