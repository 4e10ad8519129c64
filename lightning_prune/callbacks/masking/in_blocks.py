"""Prune block after block, each with inputs from the blocks that are pruned already."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from torch import Tensor, nn

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.activations.block_inputs import BlockInputs
from lightning_prune.callbacks.gathering.gatherer import Gatherer, Origin, source_of
from lightning_prune.criteria.in_sequence import InSequence
from lightning_prune.criteria.scores import Scores
from lightning_prune.masks.masks import Masks, check_counts
from lightning_prune.masks.multiply import multiply_
from lightning_prune.selection.parameters import owned_parameters, plain_name


@dataclass(frozen=True)
class Block:
    """Weights that are pruned together.

    Args:
        name: The module that holds them.
        weights: Their names.
    """

    name: str
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """What a pruner does one after the other.

    Args:
        weights: The prunable weights by name.
        masks: Their masks.
        gatherer: What gathers evidence on weights.
        gather: Gathers: given the source, the cycle, the sparsity, and whether it is a rehearsal.
        scores: The scores of all weights in a cycle.
        allocate: How many weights each tensor keeps, given the scores and the density.
        settle: Shrinks the masks, given the cycle, the sparsity, the scores and how many weights each tensor keeps.
    """

    weights: Mapping[str, Tensor]
    masks: Masks
    gatherer: Gatherer
    gather: Callable[[Origin | None, int, float, bool], None]
    scores: Callable[[int], Scores]
    allocate: Callable[[Scores, float], Mapping[str, int]]
    settle: Callable[[int, float, Scores, Mapping[str, int]], None]


def shrink_in_blocks_(pruner: Parts, value: InSequence, cycle: int, sparsity: float, origin: Origin | None) -> None:
    """Shrink masks and prune weights, block by block.

    Args:
        pruner: What the owner of the masks does.
        value: Says which blocks.
        cycle: The number of the cycle.
        sparsity: The fraction of the prunable weights that is to be dead.
        origin: The trainer, or another source.

    Raises:
        ValueError: If the allocation compares scores, or a block cannot be pruned. Blocks before it are pruned then.
    """
    counts = counts_without_scores(pruner, value, 1 - sparsity)
    weights = dict(pruner.weights)
    for block in _one_by_one(pruner, value, cycle, sparsity, origin, rehearsal=False):
        now = {**pruner.masks.living, **{name: counts[name] for name in block.weights}}
        pruner.settle(cycle, sparsity, pruner.scores(cycle), now)
        source = None if origin is None else source_of(origin)
        with torch.no_grad():
            multiply_((weights[name], mask) for name in block.weights if (mask := pruner.masks[name]) is not None)
            if source is not None and not source.alone:
                for name in block.weights:
                    weights[name].copy_(source.of_first(weights[name].detach()))


def rehearse_in_blocks(pruner: Parts, value: InSequence, sparsities: Sequence[float], origin: Origin | None) -> None:
    """Look at each block and score it without pruning, and show that the allocation can be met.

    Args:
        pruner: What the owner of the masks does.
        value: Says which blocks.
        sparsities: The sparsities of the cycles to come, at least one.
        origin: The trainer, or another source.

    Raises:
        ValueError: As :func:`shrink_in_blocks_` does.
    """
    for sparsity in sorted({sparsities[0], sparsities[-1]}):
        check_counts(pruner.masks.living, counts_without_scores(pruner, value, 1 - sparsity))
    for block in _one_by_one(pruner, value, 1, sparsities[-1], origin, rehearsal=True):
        scores = pruner.scores(1)
        for name in block.weights:
            scores[name]


def counts_without_scores(pruner: Parts, value: InSequence, density: float) -> Mapping[str, int]:
    """How many weights each tensor keeps, before any score is known.

    Args:
        pruner: What the owner of the masks does.
        value: What prunes block by block, for the error.
        density: The fraction of the prunable weights to keep.

    Raises:
        ValueError: If the allocation looks at scores.
    """

    def unknown(name: str) -> Tensor:
        raise UserError(
            f"{value!r} prunes the first block before the scores of later ones are known, and the allocation of "
            "IterativePruning compares scores of different layers: give allocation=lightning_prune.layerwise or "
            "per_row, or leave InSequence out."
        )

    scores = pruner.scores(0)
    blind = Scores(scores.shapes, scores.living, unknown, None, scores.transposed, scores.kernels, scores.kinds)
    return pruner.allocate(blind, density)


def blocks_of(module: nn.Module, weights: Mapping[str, Tensor], patterns: Sequence[str] | None) -> list[Block]:
    """Divide weights into blocks, in the order of the module.

    Args:
        module: The network.
        weights: The prunable weights by name.
        patterns: Patterns of names of modules. None: each layer is a block.

    Raises:
        ValueError: If a pattern matches no module that holds one of the weights.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
        >>> weights = {name: one for name, one in net.named_parameters() if "weight" in name}
        >>> [one.name for one in blocks_of(net, weights, ["1"])]
        ['0', '1']
    """
    holders = {one.name: _path_of(module, one.owners[0][0]) for one in owned_parameters(module)}
    matched: set[str] = set()
    found: dict[str, list[str]] = {}
    for name in weights:
        path = holders[name]
        for pattern, outermost in ((p, _outermost(path, p)) for p in patterns or ()):
            if outermost is not None:
                matched.add(pattern)
                path = outermost if len(outermost) < len(path) else path
        found.setdefault(path, []).append(name)
    if missing := [pattern for pattern in patterns or () if pattern not in matched]:
        raise UserError(
            f"InSequence(blocks=[{missing[0]!r}]) matches no module with prunable weights. The layers are: "
            f"{', '.join(list(dict.fromkeys(holders[name] for name in weights))[:8])}."
        )
    return [Block(name, tuple(names)) for name, names in found.items()]


def _one_by_one(
    pruner: Parts, value: InSequence, cycle: int, sparsity: float, origin: Origin | None, rehearsal: bool
) -> Iterator[Block]:
    """Gather what is known of each block, when those before it are done with."""
    if origin is None:
        pruner.gather(None, cycle, sparsity, rehearsal)  # which says that a Trainer is missing, or finds what it needs
        yield Block("", tuple(pruner.weights))
        return
    source, weights = source_of(origin), pruner.weights
    blocks = blocks_of(source.module, weights, value.blocks)
    inputs = BlockInputs(source, [block.name for block in blocks])
    try:
        for place, block in enumerate(blocks if rehearsal else _shown(blocks, pruner)):
            inputs.enter(place)
            pruner.gatherer.weights = {name: weights[name] for name in block.weights}
            pruner.gather(inputs, cycle, sparsity, rehearsal)
            yield block
            pruner.gatherer.drop()
    finally:
        pruner.gatherer.weights = weights


def _shown(blocks: Sequence[Block], pruner: Parts) -> Iterator[Block]:
    """Show time and memory: by a bar in a terminal, and by a line for each block in a log."""
    terminal = sys.stderr.isatty() and getattr(rank_zero_only, "rank", 0) == 0
    began = time.perf_counter()
    with Tqdm(total=len(blocks), desc="Pruning block by block", unit="block", disable=not terminal) as bar:
        for number, block in enumerate(blocks, start=1):
            yield block
            memory = f"at most {peak_memory(pruner.weights[block.weights[0]].device):.1f} GiB"
            bar.set_postfix_str(memory, refresh=False)
            bar.update()
            if not terminal:
                seconds = time.perf_counter() - began
                rank_zero_info(f"Pruned {block.name}, block {number} of {len(blocks)}: {seconds:.0f} s, {memory}")


def peak_memory(device: torch.device) -> float:
    """The most memory in use so far, in GiB: of a GPU what torch has allocated, else what the process has had.

    Args:
        device: Where the weights are.

    Example:
        >>> peak_memory(torch.device("cpu")) >= 0
        True
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _path_of(module: nn.Module, layer: nn.Module) -> str:
    path: str = next(name for name, one in module.named_modules() if one is layer)
    return path


def _outermost(path: str, pattern: str) -> str | None:
    """The shortest path to a module of a layer that matches a pattern."""
    parts = path.split(".")
    paths = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return next((one for one in paths if fnmatchcase(plain_name(one), pattern)), None)
