"""Soups: the mean of networks that were retrained from the same pruned network, with its BatchNorm estimated again."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.regimes.batch_statistics import estimate_statistics_, layers_with_statistics
from lightning_prune.regimes.losses import Metric, mean_over, measure_of
from lightning_prune.regimes.steady_batches import SteadyBatches
from lightning_prune.regimes.two_networks import Given, at_rest, network_of, tensors_of


@dataclass(frozen=True)
class Soup:
    """The mean of some networks.

    Args:
        module: A network of its own with the mean weights.
        members: Which of the given networks are in it, from 0, in the order in which they were added.
        value: The metric of the mean on the validation data. None without such data.
    """

    module: nn.Module
    members: tuple[int, ...]
    value: float | None = None


def soup(
    networks: Sequence[Given],
    data: Any,
    validation: Any = None,
    metric: Metric = "error",
    weights: Sequence[float] | None = None,
    network: nn.Module | None = None,
    batches: int | None = None,
    seed: int = 0,
) -> Soup:
    """Average networks that were retrained from the same pruned network.

    They have the same dead weights, and so has their mean. The running statistics of BatchNorm are estimated again on
    ``data``, because the mean of statistics means nothing. With ``validation`` the soup is greedy: the networks are
    sorted by the metric, and each is added if the metric of the mean does not become worse. Without it, all networks
    are averaged. The given networks and all random states are as before when this returns.

    Reference: Zimmer, Spiegel & Pokutta, Sparse Model Soups: A Recipe for Improved Pruning via Model Averaging, 2024,
    https://arxiv.org/abs/2306.16788.

    Args:
        networks: At least one network: modules, or paths of checkpoints.
        data: Training data without augmentation: a ``DataLoader``, a ``LightningDataModule`` that is set up, or a list
            of batches.
        validation: The same for the data by which a greedy soup chooses. None: all networks are averaged.
        metric: What the greedy soup makes small: ``"error"``, ``"loss"``, or a function of module and batch.
        weights: A weight above 0 for each network. None: all count alike. A greedy soup takes none.
        network: A module like those in the checkpoints, if paths are given.
        batches: How many of the first batches of ``data`` and ``validation`` are read, at least 1. None for all.
        seed: Decides the order of a loader that shuffles, in [0, 2^63).

    Returns:
        The mean, and which networks are in it.

    Raises:
        ValueError: If there is no network, or networks have other names, shapes or dead weights than others.

    Example:
        >>> one, other = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(one.weight, 1.0), nn.init.constant_(other.weight, 3.0)
        >>> soup([one, other], [torch.zeros(1, 1)]).module.weight.item()
        2.0
    """
    if not networks:
        raise UserError("soup(networks=[]) averages nothing. Give at least one network.")
    if validation is not None and weights is not None:
        raise UserError("soup(weights=..., validation=...): a greedy soup counts all members alike. Give one of them.")
    given = [network_of(one, network, "soup") for one in networks]
    states = [{name: one.detach().clone() for name, one in tensors_of(module).items()} for module in given]
    parameters = [name for name, _ in given[0].named_parameters()]
    refuse_other_masks(states, parameters)
    mixed = _copied(given[0])
    steady = SteadyBatches(data, batches, seed, "soup")
    held_out = None if validation is None else SteadyBatches(validation, batches, seed, "soup")
    measure = measure_of(metric, mixed, "soup")

    def mix(members: Sequence[int]) -> float | None:
        _set_(mixed, mean_of([states[place] for place in members], weights))
        with at_rest(mixed, seed=seed):  # which puts the old statistics back
            estimate_again_(mixed, steady, metric)
            kept = {name: one.detach().clone() for name, one in tensors_of(mixed).items()}
            value = None if held_out is None else mean_over(measure, mixed, held_out.on(mixed))
        _set_(mixed, kept)
        return value

    members, found = tuple(range(len(given))), None
    if held_out is not None:
        with at_rest(*given, seed=seed):
            values = [mean_over(measure, module, held_out.on(module)) for module in given]
        members, found = greedy_members(values, lambda some: float(mix(some) or 0.0))
    value = mix(members)
    return Soup(mixed, members, found if value is None else value)


def mean_of(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """Average tensors by name.

    Args:
        states: Tensors by name, the same names and shapes in each. Tensors of whole numbers are those of the first.
        weights: A weight above 0 for each. None: all count alike.

    Returns:
        The means, of the types of the first. What is zero in all of them is exactly zero.

    Raises:
        ValueError: If there are as many weights as states, or a weight is not above 0.

    Example:
        >>> mean_of([{"a": torch.tensor([0.0, 1.0])}, {"a": torch.tensor([0.0, 4.0])}], weights=[2, 1])
        {'a': tensor([0., 2.])}
    """
    shares = [1.0] * len(states) if weights is None else list(weights)
    if len(shares) != len(states) or any(not share > 0 for share in shares):
        raise UserError(f"soup(weights={weights!r}) needs a number above 0 for each of {len(states)} networks.")
    whole = sum(shares)
    means = {}
    for name, first in states[0].items():
        if not (first.is_floating_point() or first.is_complex()):
            means[name] = first.clone()
            continue
        wide = torch.promote_types(first.dtype, torch.float64)
        parts = [state[name].to(first.device, wide) * share for state, share in zip(states, shares, strict=True)]
        means[name] = (torch.stack(parts).sum(0) / whole).to(first.dtype)
    return means


def greedy_members(values: Sequence[float], measure: Callable[[Sequence[int]], float]) -> tuple[tuple[int, ...], float]:
    """Choose the members of a greedy soup.

    Args:
        values: The metric of each network alone. Lower is better.
        measure: Maps members to the metric of their mean.

    Returns:
        The members in the order in which they were added, and the metric of their mean.

    Example:
        >>> greedy_members([0.3, 0.1, 0.2], lambda members: 0.1 if 0 not in members else 0.4)
        ((1, 2), 0.1)
    """
    first, *others = sorted(range(len(values)), key=lambda place: values[place])
    members: tuple[int, ...] = (first,)
    best = values[first]
    for place in others:
        value = measure((*members, place))
        if value <= best:
            members, best = (*members, place), value
    return members, best


def refuse_other_masks(states: Sequence[Mapping[str, Tensor]], parameters: Sequence[str]) -> None:
    """Refuse networks whose mean would be denser than each of them.

    Args:
        states: Tensors by name.
        parameters: The names of the tensors whose zeros count.

    Raises:
        ValueError: If names or shapes differ, or a mean has fewer zeros than the sparsest member by a hundredth of the
            weights. Single weights may be zero by chance.
    """
    first = {name: tensor.shape for name, tensor in states[0].items()}
    for number, state in enumerate(states[1:], start=1):
        if {name: tensor.shape for name, tensor in state.items()} != first:
            raise UserError(f"soup(networks=...) got another network at place {number}: its names or shapes differ.")
    for name in parameters:
        zeros = [state[name] == 0 for state in states]
        most, common = max(int(one.sum()) for one in zeros), int(torch.stack([one.cpu() for one in zeros]).all(0).sum())
        if most - common > max(0.01 * zeros[0].numel(), 1):
            raise UserError(
                f"soup(networks=...): the networks have other zeros in {name!r}, and their mean would be denser than "
                "each of them. Give networks that were retrained from the same pruned network."
            )


def estimate_again_(module: nn.Module, steady: SteadyBatches, metric: Metric = "error") -> None:
    """Estimate the running statistics of BatchNorm again, if there are any.

    Args:
        module: The module, at rest.
        steady: The training batches.
        metric: What runs the module on a batch.
    """
    if layers := layers_with_statistics(module):
        estimate_statistics_(module, layers, steady.on(module), measure_of(metric, module, "soup"))


def _copied(module: nn.Module) -> nn.Module:
    """A copy that shares the trainer of the module, if it has one."""
    trainer = getattr(module, "_trainer", None)
    return copy.deepcopy(module, {id(trainer): trainer})


def _set_(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in tensors_of(module).items():
            tensor.copy_(state[name])
