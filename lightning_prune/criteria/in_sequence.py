"""Prune the first part of a network before the next part is looked at."""

from dataclasses import dataclass
from typing import Any

from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.around import Around
from lightning_prune.criteria.declared import Criterion, needs_of
from lightning_prune.criteria.evidence import FLOWING


@dataclass(frozen=True, repr=False)
class InSequence(Around):
    """Prune block after block, and look at each block with inputs from the blocks that are pruned already.

    Only the inputs of one block are measured at a time, so the memory for Gram matrices is that of one block. The
    inputs of a block are computed from the outputs of the block before it, if the network does just that, as decoders
    do. If not, the network runs up to the block each time. While the blocks are pruned, a bar or one line a block shows
    the time and the memory.

    The scores of later blocks are not known when the first block is pruned. So the allocation must not compare scores
    of different layers: give ``layerwise``, ``per_row``, ``erk``, ``LayerFractions`` or ``NofM``. An error in a later
    block leaves the blocks before it pruned.

    Reference: Frantar & Alistarh, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, 2023,
    https://arxiv.org/abs/2301.00774, and Sun et al., 2024, https://arxiv.org/abs/2306.11695 (both code).

    Args:
        criterion: A criterion that looks at the inputs of weights: ``sparse_gpt``, ``wanda`` or ``ria``.
        blocks: The modules that are pruned together, by a pattern of names or several. ``*`` and ``?`` work as in file
            names, and of nested modules that match the outermost ones are meant. Layers outside of them are blocks of
            their own. None: each layer is a block of its own.

    Raises:
        ValueError: If the criterion does not look at the inputs of weights, or ``blocks`` is no pattern.

    Example:
        >>> from lightning_prune.criteria import wanda
        >>> InSequence(criterion=wanda, blocks="model.layers.*").needs.kinds
        ('input_norm',)
    """

    blocks: list[str] | str | None = None

    def __post_init__(self) -> None:
        if not callable(self.criterion) or not set(FLOWING) & set(needs_of(self.criterion).kinds):
            raise UserError(
                f"InSequence(criterion={self.criterion!r}) does not look at the inputs of weights, which is all that "
                "differs block by block: give lightning_prune.criteria.sparse_gpt or wanda, or leave InSequence out."
            )
        given = [self.blocks] if isinstance(self.blocks, str) else self.blocks
        if given is not None and (not isinstance(given, list | tuple) or not all(isinstance(o, str) for o in given)):
            raise UserError(
                f"InSequence(blocks={self.blocks!r}) is no pattern of names of modules: give one such as "
                "'model.layers.*', a list of them, or None for layer after layer."
            )
        object.__setattr__(self, "blocks", None if given is None else list(given))


def in_blocks(criterion: Criterion, cycle: int) -> InSequence | None:
    """Find out whether a criterion prunes block by block in a cycle.

    Args:
        criterion: The criterion, which may be around others.
        cycle: The number of the cycle.

    Returns:
        The value that says so. None if all is pruned at once.

    Example:
        >>> from lightning_prune.criteria import OnBatches, wanda
        >>> in_blocks(OnBatches(InSequence(wanda), 3), cycle=1)
        InSequence(criterion=lightning_prune.criteria.inputs.wanda, blocks=None)
    """
    if isinstance(criterion, InSequence):
        return criterion
    within: Any = getattr(criterion, "criterion_at", None)
    return None if within is None else in_blocks(within(cycle), cycle)
