"""How well two networks are connected: the error along the straight line between their weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from torch import Tensor, nn

from lightning_prune.basics.checks import check_at_least_one, require
from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.batch_statistics import estimate_statistics_, layers_with_statistics
from lightning_prune.regimes.losses import Measure, Metric, mean_over, measure_of
from lightning_prune.regimes.steady_batches import SteadyBatches
from lightning_prune.regimes.sums import rank
from lightning_prune.regimes.two_networks import Given, at_rest, network_of, tensors_of


@dataclass(frozen=True)
class Barrier:
    """What was measured along the line between two networks.

    Args:
        places: Where on the line, from 0 (the first network) to 1 (the second).
        values: The error or loss at each place.

    Example:
        >>> Barrier((0.0, 0.5, 1.0), (0.25, 0.75, 0.25)).lmc
        -0.5
    """

    places: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def ends(self) -> float:
        """The mean of the two ends."""
        return (self.values[0] + self.values[-1]) / 2

    @property
    def at(self) -> float:
        """The place that differs most from the mean of the ends, in [0, 1]. The first of equal ones."""
        return self.places[self._furthest]

    @property
    def lmc(self) -> float:
        """Linear mode connectivity: the mean of the ends minus the value at the place that differs most from it.

        Negative: there is a barrier between the networks. About 0: they are connected. Positive: a network between
        them is better than both.
        """
        return self.ends - self.values[self._furthest]

    @property
    def _furthest(self) -> int:
        return max(range(len(self.values)), key=lambda place: abs(self.ends - self.values[place]))


def barrier(
    a: Given,
    b: Given,
    data: Any,
    points: int = 11,
    metric: Metric = "error",
    batches: int | None = None,
    batch_norm: Literal["estimate", "interpolate"] = "estimate",
    network: nn.Module | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Barrier:
    """Measure the error or loss along the straight line between the weights of two networks.

    At each point the running statistics of BatchNorm are estimated again on the data, as those between two networks
    mean nothing. Weights that are dead in both networks stay dead. The networks are evaluated without dropout. They,
    their modes and buffers, and all random states are as before when this returns. All processes have to call it. It
    takes the memory of about three more networks, and ``2 * points`` passes over the data.

    Reference: Frankle, Dziugaite, Roy & Carbin, Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020,
    https://arxiv.org/abs/1912.05671. The definition of :attr:`Barrier.lmc` is that in the code of Zhou, Yang, Chang &
    Mahoney, A Three-regime Model of Network Pruning, 2023, https://arxiv.org/abs/2305.18383.

    Args:
        a: The first network: a module, or the path of a checkpoint.
        b: The second one, of the same shapes.
        data: Training data without augmentation: a ``DataLoader``, a ``LightningDataModule`` that is set up, or a list
            of batches. A loader that shuffles is read in one fixed order.
        points: How many points on the line, ends included, at least 2.
        metric: ``"error"``: the fraction of wrong classes, in [0, 1], of batches of inputs and labels. ``"loss"``: the
            loss of ``training_step``. Or a function of module and batch that returns a tensor, whose mean is taken.
        batches: How many of the first batches, at least 1. None for all.
        batch_norm: ``"estimate"``, or ``"interpolate"`` to take running statistics for weights.
        network: A module like those in the checkpoints, if ``a`` or ``b`` is one.
        seed: Decides the order of a loader that shuffles, and what transforms draw, in [0, 2^63).
        progress: Whether to show a progress bar.

    Returns:
        The values along the line.

    Raises:
        ValueError: If the networks have other names or shapes, or the metric does not fit the batches.

    Example:
        >>> first, second = nn.Linear(4, 2), nn.Linear(4, 2)
        >>> data = [(torch.rand(8, 4), torch.arange(8) % 2)]
        >>> len(barrier(first, second, data).values), barrier(first, first, data).lmc
        (11, 0.0)
    """
    require(isinstance(points, int) and points >= 2, "barrier", "points", points, "be at least 2, the two ends")
    if batches is not None:
        check_at_least_one("barrier", "batches", batches)
    require(
        batch_norm in ("estimate", "interpolate"), "barrier", "batch_norm", batch_norm, "be 'estimate' or 'interpolate'"
    )
    first, second = network_of(a, network, "barrier"), network_of(b, network, "barrier")
    steady = SteadyBatches(data, batches, seed, "barrier")
    measure = measure_of(metric, first, "barrier")
    start, end = _cloned(first), _cloned(second)
    _refuse_other_shapes(start, end)
    places = [point / (points - 1) for point in range(points)]
    with at_rest(first, seed=seed):
        shown = Tqdm(places, desc="barrier", unit="point", disable=not progress or rank() > 0)
        values = [_value_at(place, first, (start, end), steady, measure, batch_norm) for place in shown]
    return Barrier(tuple(places), tuple(values))


def between_(module: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], place: float) -> None:
    """Set a module to the point between two networks. Tensors of whole numbers are those of the first.

    Args:
        module: The module.
        start: The parameters and buffers of the first network by name.
        end: Those of the second.
        place: Where on the line, in [0, 1].

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> between_(layer, {"weight": torch.tensor([[1.0]])}, {"weight": torch.tensor([[3.0]])}, 0.25)
        >>> layer.weight.item()
        1.5
    """
    with torch.no_grad():
        for name, tensor in tensors_of(module).items():
            one, other = start[name], end[name].to(start[name].device)
            mixes = tensor.is_floating_point() or tensor.is_complex()
            tensor.copy_(torch.lerp(one, other.to(one.dtype), place) if mixes else one)


def _value_at(
    place: float,
    module: nn.Module,
    ends: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    steady: SteadyBatches,
    measure: Measure,
    batch_norm: str,
) -> float:
    between_(module, *ends, place)
    if batch_norm == "estimate" and (layers := layers_with_statistics(module)):
        estimate_statistics_(module, layers, steady.on(module), measure)
    return mean_over(measure, module, steady.on(module))


def _cloned(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors_of(module).items()}


def _refuse_other_shapes(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> None:
    shapes = ({name: tensor.shape for name, tensor in one.items()} for one in (start, end))
    if wrong := sorted({name for name, _ in set.symmetric_difference(*(set(one.items()) for one in shapes))}):
        raise UserError(
            f"barrier(a, b) draws a line between networks of the same shapes, and these differ in {wrong[0]!r}. Give "
            "two copies of one network that were retrained from the same weights."
        )
