"""Measure what flows into weights and out of units, by passes over batches of training data."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.activations.contributions import Contributions, Reads
from lightning_prune.callbacks.gathering.activations.input_grams import InputGrams
from lightning_prune.callbacks.gathering.activations.input_norms import InputNorms
from lightning_prune.callbacks.gathering.activations.products import Watching
from lightning_prune.callbacks.gathering.activations.statistics import Statistics
from lightning_prune.callbacks.gathering.activations.unit_outputs import Made, UnitOutputs
from lightning_prune.callbacks.gathering.source import Source
from lightning_prune.granularity.base import Units
from lightning_prune.selection.filter_layout import filter_count


def input_norms(source: Source, weights: Mapping[str, Tensor], batches: int, seed: int, what: str) -> dict[str, Tensor]:
    """Measure the L2 norm of what flows into each weight, over all samples and positions of all processes.

    Args:
        source: The network and its batches, inside of its ``without_trace``. The network is left in evaluation mode.
        weights: The weights by name.
        batches: The number of batches, at least 1.
        seed: Decides the batches.
        what: What asks for it, for the error.

    Returns:
        Norms of the shapes of the weights, by name.

    Raises:
        ValueError: If a weight was in no product of matrices and no convolution.
    """
    norms = InputNorms(weights)
    watching = Watching(weights, norms)
    for _ in _passes(source, watching, batches, seed):
        watching.forget()
    found = {name: norms.squares(name) for name in weights}
    if not source.alone:
        found = _of_all_processes(source, weights, found)
    _refuse_unseen(found, what, "Recurrent layers and embeddings have none that can be seen.")
    return {name: squares.sqrt() for name, squares in found.items() if squares is not None}


def input_grams(
    source: Source, weights: Mapping[str, Tensor], transposed: Mapping[str, int], batches: int, seed: int, what: str
) -> dict[str, Tensor]:
    """Measure the Gram matrices of what flows into the weights of an output, over all samples of all processes.

    Args:
        source: The network and its batches, inside of its ``without_trace``. The network is left in evaluation mode.
        weights: The weights by name.
        transposed: The groups of transposed convolutions by the names of their weights, and 1 for turned matrices.
        batches: The number of batches, at least 1.
        seed: Decides the batches.
        what: What asks for it, for the error.

    Returns:
        Tensors of the shape (groups, size, size), by name. See ``Evidence.input_gram``.

    Raises:
        ValueError: If a weight was in no product of matrices and no convolution that can be unfolded.
    """
    grams = InputGrams(weights, transposed)
    watching = Watching(weights, grams)
    for _ in _passes(source, watching, batches, seed):
        watching.forget()
        grams.forget()
    found = {name: grams.gram(name) for name in weights}
    if not source.alone:
        found = {name: _gram_of_all(source, found[name], one, transposed.get(name, 0)) for name, one in weights.items()}
    _refuse_unseen(found, what, "Transposed convolutions, stacked experts and recurrent layers cannot be unfolded.")
    return {name: gram for name, gram in found.items() if gram is not None}


def contribution_grams(
    source: Source, units: Units, tensors: Mapping[str, Tensor], batches: int, seed: int
) -> dict[str, Tensor]:
    """Measure what units contribute to the layers that read them, on outputs of all processes that are drawn at random.

    Args:
        source: The network and its batches.
        units: The units.
        tensors: The parameters that the units lie in, by name.
        batches: The number of batches, at least 1.
        seed: Decides the batches and the outputs.

    Returns:
        A matrix with one row and one column for each unit, by group.

    Raises:
        ValueError: If it is not known what reads the units, or nothing was seen of a group.
    """
    reads: dict[str, list[Reads]] = {}
    for group in units.shapes:
        for name, dim, of_inputs in units.inputs(group):
            reads.setdefault(name, []).append(Reads(group, dim, of_inputs))
    contributions = Contributions({group: shape.numel() for group, shape in units.shapes.items()}, reads)
    watching = Watching({name: tensors[name] for name in reads}, contributions)
    with source.without_trace(seed):
        for _ in _passes(source, watching, batches, seed):
            watching.forget()
        return contributions.found(source, next(iter(tensors.values())).device)


def unit_outputs(
    source: Source, units: Units, tensors: Mapping[str, Tensor], kinds: Sequence[str], batches: int, seed: int
) -> dict[str, dict[str, Tensor]]:
    """Measure what flows out of units, on batches of all processes.

    Args:
        source: The network and its batches.
        units: The units.
        tensors: The parameters that the units lie in, by name.
        kinds: What to measure: ``output_mean``, ``output_samples``, ``output_rank``.
        batches: The number of batches, at least 1.
        seed: Decides the batches.

    Returns:
        A matrix with one row for each unit, by kind and group.

    Raises:
        ValueError: If the units have no outputs of their own, or nothing was seen of a group.
    """
    made: dict[str, list[Made]] = {}
    for group in units.shapes:
        for name, of_outputs in units.outputs(group).items():
            made.setdefault(name, []).append(Made(group, of_outputs))
    statistics = Statistics({group: shape.numel() for group, shape in units.shapes.items()}, kinds)
    outputs = UnitOutputs(made, statistics.saw)
    watching = Watching({name: tensors[name] for name in made}, outputs)
    with source.without_trace(seed):
        for _ in _passes(source, watching, batches, seed):
            watching.forget()
            outputs.forget()
        return statistics.found(next(iter(tensors.values())).device, source.summed, source.joined)


def _passes(source: Source, watching: Watching, batches: int, seed: int) -> Iterator[None]:
    """Run the network on batches, in evaluation mode and without gradients."""
    source.module.eval()  # put back with the other attributes
    for run in source.passes(batches, seed):
        with all_operations(), torch.no_grad(), watching:
            run()
        yield


@contextmanager
def all_operations() -> Iterator[None]:
    """Let attention run operation by operation: its fast path hides them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _of_all_processes(
    source: Source, weights: Mapping[str, Tensor], found: Mapping[str, Tensor | None]
) -> dict[str, Tensor | None]:
    """Add up over processes, each of which may have seen other weights."""
    joined: dict[str, Tensor | None] = {}
    for name, squares in found.items():
        mine = torch.zeros_like(weights[name], dtype=_real(weights[name])) if squares is None else squares.contiguous()
        seen = source.summed(torch.tensor([float(squares is not None)], device=mine.device))
        total = source.summed(mine)
        joined[name] = total if float(seen) else None
    return joined


def _gram_of_all(source: Source, gram: Tensor | None, weight: Tensor, transposed: int) -> Tensor | None:
    """Add up over processes, each of which may have seen other parts of a weight. All processes have to call it."""
    device, size = weight.device, weight.numel() // filter_count(weight.shape, transposed)
    groups = int(source.joined(torch.tensor([[0.0 if gram is None else float(len(gram))]], device=device)).max())
    mine = torch.zeros(groups, size, size, dtype=_real(weight), device=device)
    if gram is not None:
        mine = gram.repeat_interleave(groups // len(gram), 0)
    return source.summed(mine) if groups else None


def _refuse_unseen(found: Mapping[str, Tensor | None], what: str, why: str) -> None:
    if unseen := [name for name, one in found.items() if one is None]:
        raise UserError(
            f"{what} looks at what flows into weights, and nothing was seen of {', '.join(unseen)}: no product of "
            f"matrices and no convolution with it ran in the batches. {why} Leave it out: "
            f"prunable=lightning_prune.Prunable(exclude=[{unseen[0]!r}])."
        )


def _real(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.real.dtype if weight.is_complex() else weight.dtype, torch.float32)
