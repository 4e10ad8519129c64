"""Fit the living weights of a layer to given outputs, by least squares."""

import torch
from torch import Tensor


def masked_least_squares(
    gram: Tensor, products: Tensor, weight: Tensor, living: Tensor, ridge: float, free: int = 0
) -> Tensor:
    """Fit the living weights of every row, and pull them to where they are.

    The weights ``w`` of a row minimize ``|Y - X w|² + λ |w - weight|²``. ``λ`` is ``ridge`` times the mean of the
    diagonal of the Gram matrix. So the squared error is never larger than that of the given weights.

    Args:
        gram: ``XᵀX``: inputs, inputs.
        products: ``XᵀY``: inputs, outputs.
        weight: Outputs, inputs. Dead weights are zero.
        living: True where a weight is alive, in the shape of ``weight``.
        ridge: How strongly the weights are pulled, above 0.
        free: The number of inputs at the end that are not pulled, such as the ones of an intercept.

    Returns:
        The fitted weight, in the precision of the Gram matrix. Dead weights are zero.

    Example:
        >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
        >>> outputs = inputs @ torch.tensor([[3.0], [5.0]], dtype=torch.float64)
        >>> fitted = masked_least_squares(
        ...     inputs.T @ inputs, inputs.T @ outputs, torch.zeros(1, 2), torch.tensor([[True, False]]), ridge=1e-9
        ... )
        >>> [round(number, 3) for number in fitted.flatten().tolist()]
        [5.5, 0.0]
    """
    weight = weight.to(gram)
    fitted = weight * living
    pulled = gram.diagonal()[: len(gram) - free]
    strength = ridge * (pulled.mean() if len(pulled) else gram.new_zeros(()))
    pull = strength * torch.ones_like(gram.diagonal())
    pull[len(gram) - free :] = 0
    lacking = products - gram @ fitted.t()
    patterns, of_row = torch.unique(living, dim=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        some = (pattern & (gram.diagonal() > 0)).nonzero().flatten()
        rows = (of_row == number).nonzero().flatten()
        if len(some):
            system = gram[some[:, None], some] + torch.diag(pull[some])
            fitted[rows[:, None], some] += torch.linalg.solve(system, lacking[some[:, None], rows]).t()
    return fitted


def channel_factors(gram: Tensor, products: Tensor, weight: Tensor, channels: int, ridge: float) -> Tensor:
    """Fit one factor for each input channel, and pull the factors to 1.

    The factors ``s`` minimize ``Σ (Y - Σ_c s_c X_c W_c)² + λ |s - 1|²`` over all samples and outputs.

    Args:
        gram: ``XᵀX``: inputs, inputs.
        products: ``XᵀY``: inputs, outputs.
        weight: Outputs, inputs. The inputs of a channel stand together.
        channels: The number of channels.
        ridge: How strongly the factors are pulled, above 0, times the mean of the diagonal of the normal equations.

    Returns:
        A factor for each channel. 1 for a channel that adds nothing.

    Example:
        >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
        >>> weight = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
        >>> outputs = inputs @ torch.tensor([[3.0], [0.0]], dtype=torch.float64)
        >>> channel_factors(inputs.T @ inputs, inputs.T @ outputs, weight, 2, ridge=1e-9)
        tensor([1.5000, 1.0000], dtype=torch.float64)
    """
    weight = weight.to(gram)
    size = len(gram) // channels
    normal = (gram * (weight.t() @ weight)).reshape(channels, size, channels, size).sum((1, 3))
    right = (weight.t() * products).reshape(channels, -1).sum(1)
    factors = torch.ones_like(right)
    some = (normal.diagonal() > 0).nonzero().flatten()
    if len(some):
        system = normal[some[:, None], some]
        pull = ridge * system.diagonal().mean()
        lacking = right[some] - system.sum(1)
        factors[some] += torch.linalg.solve(system + pull * torch.eye(len(some)).to(system), lacking)
    return factors
