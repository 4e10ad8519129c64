"""Centered kernel alignment from sums over examples: the memory depends on the number of features, not of examples.

For each pair of networks the sum of ``z w^T`` is kept. There ``z`` holds the features of an example, their squared
norm, and 1. All that CKA needs follows from these sums.
"""

import torch
from torch import Tensor


def products(x: Tensor, y: Tensor) -> Tensor:
    """Sum the products of the features of two networks, with their squared norms and 1, over the examples of a batch.

    Args:
        x: The features of the first network, ``[n, p]``.
        y: Those of the second, ``[n, q]``.

    Returns:
        ``[p + 2, q + 2]``. Sums over batches can be added.
    """
    return _with_norm(x).T @ _with_norm(y)


def aligned(xx: Tensor, xy: Tensor, yy: Tensor, debiased: bool = False) -> float:
    """Linear CKA of two networks, from the sums of :func:`products` over all examples.

    Args:
        xx: The sum for the first network with itself, ``[p + 2, p + 2]``.
        xy: The sum for both networks, ``[p + 2, q + 2]``.
        yy: The sum for the second network with itself, ``[q + 2, q + 2]``.
        debiased: Whether to estimate each inner product of the kernels without bias, which needs 4 examples.

    Returns:
        The alignment, in [0, 1], or a little outside if debiased. NaN if a network gives the same for all examples.

    Example:
        >>> x = torch.eye(4, dtype=torch.float64)
        >>> aligned(products(x, x), products(x, 2 * x), products(2 * x, 2 * x))
        1.0
    """
    norms = inner(xx, debiased) * inner(yy, debiased)
    return float(inner(xy, debiased) / norms.sqrt())


def inner(sums: Tensor, debiased: bool) -> Tensor:
    """The inner product of two centered linear kernels, ``norm(Xc^T Yc)^2``, or its unbiased estimate.

    Reference: Song, Smola, Gretton, Bedo & Borgwardt, Feature Selection via Dependence Maximization, 2012. Kornblith,
    Norouzi, Lee & Hinton, Similarity of Neural Network Representations Revisited, 2019,
    https://arxiv.org/abs/1905.00414.

    Args:
        sums: The sum of :func:`products` over at least 2 examples, or 4 if ``debiased``.
        debiased: Whether to leave out what an example has in common with itself.
    """
    count = sums[-1, -1]
    x, y = sums[1:-1, -1] / count, sums[-1, 1:-1] / count
    biased = (sums[1:-1, 1:-1] - count * torch.outer(x, y)).square().sum()
    if not debiased:
        return biased
    u, v = _of_centered(x), _of_centered(y)  # squared norms of centered features are linear in what was summed
    both, first, second = u @ sums @ v, u @ sums[:, -1], sums[-1] @ v
    return biased - count / (count - 2) * both + first * second / ((count - 1) * (count - 2))


def _with_norm(x: Tensor) -> Tensor:
    return torch.cat([x.square().sum(1, keepdim=True), x, torch.ones_like(x[:, :1])], dim=1)


def _of_centered(mean: Tensor) -> Tensor:
    """The factors that turn the squared norm of ``x``, ``x`` and 1 into the squared norm of ``x - mean``."""
    return torch.cat([mean.new_ones(1), -2 * mean, mean.square().sum().reshape(1)])
