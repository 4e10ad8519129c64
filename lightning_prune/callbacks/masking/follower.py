"""Follow the masks of another run: nothing is scored, and cycle ``n`` takes the masks of cycle ``n``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lightning_prune import criteria
from lightning_prune.allocation import globally
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.gatherer import Origin
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.masking.recorded_masks import MaskSource, Recorded
from lightning_prune.masks.chain import Chain
from lightning_prune.masks.packing import unpack_bits
from lightning_prune.schedules.sparsity import Geometric, Levels, SparsitySchedule
from lightning_prune.selection.sharding import whole


class Follower(Pruner):
    """The masks of a network, taken from another run.

    Args:
        weights: The prunable weights by name.
        chain: The masks of the cycles.
    """

    follows_schedule = False  # the masks of a source may shrink at a level that stays

    def __init__(self, weights: Mapping[str, Tensor], chain: Chain) -> None:
        super().__init__(weights, criteria.magnitude, globally, seed=0)  # neither is asked
        self.chain = chain

    @property
    def settings(self) -> dict[str, list[str]]:
        return {"recorded": self.chain.digests()}

    def rehearse(self, sparsities: Sequence[float], trainer: Origin | None = None) -> None:
        first = self.chain.packed(1) if sparsities else {}
        for name in self.weights:
            if (mask := self.masks[name]) is None:
                continue
            dead = whole(mask).cpu() == 0
            living = unpack_bits(first[name], dead.shape).bool() if name in first else ~dead | dead
            if bool((living & dead).any()):
                raise UserError(
                    f"IterativePruning(masks_from=...) lets weights of {name!r} live in cycle 1 that are dead from the "
                    "start (initial_masks=...), and dead weights never come back. Give one of the two."
                )

    def shrink_(self, cycle: int, sparsity: float, trainer: Origin | None) -> None:
        self.masks.unpack_(self.chain.packed(cycle))


def source_of(given: object) -> MaskSource | None:
    """What ``IterativePruning(masks_from=...)`` means.

    Args:
        given: A path, a source, or None.

    Raises:
        ValueError: If it is none of these.

    Example:
        >>> source_of("runs/ticket")
        Recorded(run='runs/ticket', shuffle=None)
    """
    if given is None or isinstance(given, MaskSource):
        return given
    if isinstance(given, str | Path) and str(given).strip():
        return Recorded(str(given))
    raise UserError(
        f"IterativePruning(masks_from={given!r}) is no record of a run: give its folder, or "
        "lightning_prune.Recorded(folder, shuffle='layerwise') for other masks of the same size."
    )


def follow(
    source: MaskSource, weights: Mapping[str, Tensor], sparsity: SparsitySchedule, cycles: int, seed: int
) -> tuple[Follower, SparsitySchedule]:
    """Read the masks to follow.

    Args:
        source: Where they are.
        weights: The prunable weights by name.
        sparsity: What ``IterativePruning`` was given.
        cycles: How many cycles it has, at least 1.
        seed: Decides what is shuffled.

    Returns:
        The masks, and the sparsities of the run that found them.

    Raises:
        ValueError: If they are of another network, or the sparsity that was given is another one.
    """
    chain = source({name: weight.shape for name, weight in weights.items()}, cycles, seed)
    recorded = [*chain.sparsities, *(sparsity(cycle) for cycle in range(chain.cycles + 1, cycles + 1))][:cycles]
    size = sum(weight.numel() for weight in weights.values())
    if sparsity != Geometric(fraction=0.2):  # the default, which nobody has to leave out
        refuse_another_sparsity(sparsity, recorded, size)
    return Follower(weights, chain), Levels(recorded)


def refuse_another_sparsity(sparsity: SparsitySchedule, recorded: Sequence[float], size: int) -> None:
    """Refuse a schedule that is not that of the recorded run.

    Args:
        sparsity: The schedule that was given.
        recorded: The sparsities of cycles 1, 2, ... of the recorded run.
        size: How many prunable weights there are.

    Raises:
        ValueError: If they differ by a weight or more.
    """
    for cycle, level in enumerate(recorded, start=1):
        if round((1 - sparsity(cycle)) * size) != round((1 - level) * size):
            raise UserError(
                f"IterativePruning(sparsity={sparsity!r}) asks for sparsity {sparsity(cycle):.5g} in cycle {cycle}, "
                f"and the run that masks_from names has {level:.5g} there. Leave sparsity out: the run has decided it."
            )
