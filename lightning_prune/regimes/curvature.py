"""How curved the loss is around a network: the trace and the largest eigenvalue of the Hessian."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lightning_prune.basics.checks import check_at_least_one
from lightning_prune.basics.extras import needs_extra
from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.losses import Metric, measure_of
from lightning_prune.regimes.steady_batches import SteadyBatches, size_of
from lightning_prune.regimes.sums import total
from lightning_prune.regimes.two_networks import Given, at_rest, network_of

Product = Callable[[Tensor], Tensor]


def hessian_trace(
    a: Given,
    data: Any,
    metric: Metric = "loss",
    draws: int = 30,
    batches: int | None = None,
    network: nn.Module | None = None,
    seed: int = 0,
) -> float:
    """Estimate the trace of the Hessian of the loss, in random directions (Hutchinson).

    Only weights that live count: entries of matrices and kernels that are zero are taken as pruned. The network is
    evaluated without dropout and with its own BatchNorm statistics. Weight decay does not count. A pass over the data
    is made for each direction. All processes have to call it.

    Reference: Hutchinson, A stochastic estimator of the trace of the influence matrix, 1990.

    Args:
        a: A module, or the path of a checkpoint.
        data: As for :func:`barrier`.
        metric: ``"loss"``: the loss of ``training_step``. Or a function of module and batch that returns a tensor,
            whose mean is taken.
        draws: The number of random directions, at least 1.
        batches: How many of the first batches, at least 1. None for all.
        network: A module like that in the checkpoint, if ``a`` is one.
        seed: Decides the directions, and the order of a loader that shuffles, in [0, 2^63).

    Raises:
        ValueError: If the metric has no curvature or does not fit, or nothing in the network is trained.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> data = [(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1))]
        >>> squares = lambda module, batch: (module(batch[0]) - batch[1]).square()
        >>> round(hessian_trace(layer, data, metric=squares), 3)  # of the diagonal matrix 1, 4
        5.0
    """
    check_at_least_one("hessian_trace", "draws", draws)
    with _products(a, data, metric, batches, network, seed, "hessian_trace") as (product, living):
        draw = torch.Generator().manual_seed(seed)
        found = 0.0
        for _ in range(draws):
            signs = torch.randint(2, (len(living),), generator=draw).to(living) * 2 - 1
            found += float(signs.double() @ product(signs).double())
    return found / draws


def top_eigenvalue(
    a: Given,
    data: Any,
    metric: Metric = "loss",
    accuracy: float = 1e-3,
    batches: int | None = None,
    network: nn.Module | None = None,
    seed: int = 0,
) -> float:
    """Compute the largest eigenvalue of the Hessian of the loss, often called its sharpness (Lanczos, by SciPy).

    What counts is as for :func:`hessian_trace`. It takes some 20 passes over the data.

    Args:
        a: A module, or the path of a checkpoint.
        data: As for :func:`barrier`.
        metric: As for :func:`hessian_trace`.
        accuracy: The relative accuracy, above 0.
        batches: How many of the first batches, at least 1. None for all.
        network: A module like that in the checkpoint, if ``a`` is one.
        seed: Decides where it starts, and the order of a loader that shuffles, in [0, 2^63).

    Raises:
        ValueError: If the metric has no curvature or does not fit, or nothing in the network is trained.
        ModuleNotFoundError: If SciPy is missing. The extra ``studies`` brings it.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> data = [(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1))]
        >>> squares = lambda module, batch: (module(batch[0]) - batch[1]).square()
        >>> round(top_eigenvalue(layer, data, metric=squares), 3)  # of the diagonal matrix 1, 4
        4.0
    """
    with needs_extra("top_eigenvalue", "studies"):
        from scipy.sparse.linalg import LinearOperator, eigsh
    with _products(a, data, metric, batches, network, seed, "top_eigenvalue") as (product, living):
        count = len(living)
        if count < 3:  # too few for Lanczos
            columns = torch.stack([product(one) for one in torch.eye(count).to(living)])
            return float(torch.linalg.eigvalsh(columns.double().cpu()).max())

        def times(vector: Any) -> Any:
            return product(torch.as_tensor(vector.reshape(-1)).to(living)).double().cpu().numpy()

        start = np.random.default_rng(seed).standard_normal(count)
        operator = LinearOperator((count, count), matvec=times, dtype=np.float64)
        return float(eigsh(operator, k=1, which="LA", v0=start, tol=accuracy, return_eigenvectors=False)[0])


@contextmanager
def _products(
    a: Given, data: Any, metric: Metric, batches: int | None, network: nn.Module | None, seed: int, asker: str
) -> Iterator[tuple[Product, Tensor]]:
    """The product of the Hessian of the living weights with a vector, and those weights as a vector."""
    if metric == "error":
        raise UserError(f"{asker}(metric='error') has no curvature: give 'loss', or a function that returns a loss.")
    module = network_of(a, network, asker)
    weights = [one for one in module.parameters() if one.requires_grad]
    if not weights:
        raise UserError(f"{asker}: {type(module).__name__} has no parameters that require gradients.")
    steady, measure = SteadyBatches(data, batches, seed, asker), measure_of(metric, module, asker)
    flat = _flat(weights).detach()
    living = torch.cat([(one.detach() != 0 if one.dim() > 1 else torch.ones_like(one)).flatten() for one in weights])
    living = living.bool()

    def product(vector: Tensor) -> Tensor:
        along = torch.zeros_like(flat).masked_scatter_(living, vector)
        found, count = torch.zeros_like(flat), 0
        for (batch,) in steady.on(module):
            if (loss := measure(module, batch)) is not None:
                found += size_of(batch) * _second_derivative(loss.mean(), weights, along, asker)
                count += size_of(batch)
        return total(found[living]) / total(torch.tensor(float(count)))

    with at_rest(module, seed=seed), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # others know no second order
        yield product, flat[living]


def _second_derivative(loss: Tensor, weights: Sequence[Tensor], along: Tensor, asker: str) -> Tensor:
    """The derivative of the gradient of a loss along a vector."""
    if not loss.requires_grad:
        raise UserError(f"{asker} needs a loss that has gradients, and the metric returns a tensor without.")
    options: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
    gradient = _flat(torch.autograd.grad(loss, weights, create_graph=True, **options))
    if not gradient.requires_grad:
        return torch.zeros_like(along)  # a loss that is linear in its weights
    return _flat(torch.autograd.grad(gradient @ along, weights, **options))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([one.flatten() for one in tensors])
