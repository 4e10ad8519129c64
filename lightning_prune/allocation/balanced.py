"""Keep the same number of weights in every tensor."""

from collections.abc import Mapping

from lightning_prune.allocation.budget import spend
from lightning_prune.criteria.scores import Scores


def balanced(scores: Scores, density: float) -> Mapping[str, int]:
    """Keep the same number of weights in every tensor, so that small tensors stay dense.

    What a full tensor cannot hold is shared out among all others in equal parts. (In the authors' code it goes to the
    tensors that come later.) With the criterion ``random`` this is the balanced random mask of the paper.

    Reference: Gadhikar, Nelaturu & Burkholz, Cyclic Sparse Training: Is it Enough?, 2024,
    https://arxiv.org/abs/2406.02773.

    Args:
        scores: The scores of all prunable weights.
        density: The fraction of all weights to keep, in (0, 1].

    Returns:
        The number of weights that each tensor keeps.

    Example:
        >>> import torch
        >>> balanced(Scores.of({"a": torch.rand(10), "b": torch.rand(100), "c": torch.rand(90)}), density=0.5)
        {'a': 10, 'b': 45, 'c': 45}
    """
    return spend({name: 1 / shape.numel() for name, shape in scores.shapes.items()}, scores, density)
