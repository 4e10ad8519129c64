"""The masks of a network: shrink them to exact counts, and pack them to one bit per weight."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_prune.allocation.ranking import find_cut, mark_above
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import PIECE, Scores
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.selection.sharding import blank_mask, placed, whole


class Masks:
    """One mask for every prunable weight: 1 where alive, 0 where dead.

    Masks take no memory until the first call of :meth:`shrink_`. After the call they take one byte per weight. (A uint8
    mask multiplies as fast as a float mask. A bool mask is several times slower on a CPU.)

    Args:
        weights: The prunable weights by name. Masks have the shapes, layouts and devices of the weights.

    Example:
        >>> masks = Masks({"a": torch.rand(4)})
        >>> masks.shrink_(Scores.of({"a": torch.tensor([4.0, 1.0, 3.0, 2.0])}), {"a": 2})
        >>> masks["a"], masks.sparsity
        (tensor([1, 0, 1, 0], dtype=torch.uint8), 0.5)
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._like = {name: weight.detach() for name, weight in weights.items()}
        self.shapes = {name: weight.shape for name, weight in weights.items()}
        self.living = {name: shape.numel() for name, shape in self.shapes.items()}
        self._masks: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor | None:
        """The mask of a weight, in the weight's shape. None while all of the weight lives."""
        return self._masks.get(name)

    def __repr__(self) -> str:
        return f"Masks({pruned_of(self.alive, self.size)} in {len(self.shapes)} tensors)"

    @property
    def size(self) -> int:
        """The number of prunable weights."""
        return sum(shape.numel() for shape in self.shapes.values())

    @property
    def alive(self) -> int:
        """The number of living weights."""
        return sum(self.living.values())

    @property
    def sparsity(self) -> float:
        """The fraction of dead weights, in [0, 1), computed from whole numbers."""
        return (self.size - self.alive) / self.size

    def shrink_(self, scores: Scores, counts: Mapping[str, int]) -> None:
        """Keep the highest scores of every tensor.

        Args:
            scores: The scores, minus infinity where a weight is dead.
            counts: The number of weights that each tensor keeps, at most the number that lives in it. If ``counts`` has
                an attribute ``cut``, this score is tried first as the lowest score to keep.

        Raises:
            ValueError: If a tensor is missing, or should keep more weights than live in it. After this error, and after
                an error of the scores themselves, no mask has changed.
        """
        check_counts(self.living, counts)
        guess = getattr(counts, "cut", None)
        shrunk: dict[str, Tensor] = {}
        for name in self.shapes:
            if counts[name] < self.living[name]:
                mask = blank_mask(self._like[name])
                keep_top_(mask, scores.only(name), counts[name], guess)  # the scores still read the old mask
                shrunk[name] = placed(mask, self._like[name])
        # Change all masks or none. A score may fail for a later tensor, and saved masks must belong to one cycle.
        self._masks |= shrunk
        self.living |= {name: counts[name] for name in shrunk}

    def replace_(self, masks: Mapping[str, Tensor]) -> None:
        """Replace masks by others, in which dead weights may live again. Only dynamic sparsity calls this.

        Args:
            masks: Whole masks by name, uint8, 1 where alive. Other tensors keep their masks.
        """
        for name, mask in masks.items():
            self._masks[name] = placed(mask, self._like[name])
            self.living[name] = int(torch.count_nonzero(mask))

    def pack(self) -> dict[str, Tensor]:
        """The masks at one bit per weight, on the CPU. Tensors that are fully alive are left out."""
        return {name: pack_bits(whole(mask)) for name, mask in self._masks.items()}

    def unpack_(self, packed: Mapping[str, Tensor]) -> None:
        """Restore masks from :meth:`pack`.

        Args:
            packed: Packed masks by name.

        Raises:
            ValueError: If a mask belongs to a tensor that is not pruned here, or has another shape. After this error no
                mask has changed.
        """
        unpacked = {name: self._unpacked(name, bits) for name, bits in packed.items()}
        for name, mask in unpacked.items():
            self._masks[name] = placed(mask, self._like[name])
            self.living[name] = int(torch.count_nonzero(mask))

    def _unpacked(self, name: str, bits: Tensor) -> Tensor:
        if name not in self.shapes:
            raise UserError(f"There is a mask of {name!r}, which is not pruned here: give the checkpoint of this run.")
        try:
            return blank_mask(self._like[name]).copy_(unpack_bits(bits, self.shapes[name]))
        except ValueError as error:
            raise UserError(f"The mask of {name!r} does not fit: {error}. Give the checkpoint of this run.") from error


def pruned_of(alive: int, size: int) -> str:
    """Say how many weights are pruned, for people.

    Args:
        alive: The number of living weights.
        size: The number of prunable weights.

    Example:
        >>> pruned_of(15892, 24832)
        '36.0 % of 24,832 weights pruned'
    """
    return f"{100 * (size - alive) / max(size, 1):.1f} % of {size:,} weights pruned"


def keep_top(score: Tensor, count: int) -> Tensor:
    """Mark exactly the ``count`` highest scores. Of equal scores, those with the lowest index are marked.

    Args:
        score: Scores of any shape.
        count: The number of scores to mark, ``0 <= count <= score.numel()``.

    Returns:
        A uint8 tensor of the scores' shape with exactly ``count`` ones.

    Example:
        >>> keep_top(torch.tensor([[1.0, 9.0], [7.0, 7.0]]), count=2)
        tensor([[0, 1],
                [1, 0]], dtype=torch.uint8)
    """
    mask = torch.empty_like(score, dtype=torch.uint8)
    keep_top_(mask, Scores.of({"": score}), count)
    return mask


def keep_top_(mask: Tensor, scores: Scores, count: int, guess: float | None = None) -> None:
    """Write :func:`keep_top` into ``mask``.

    Args:
        mask: A uint8 tensor of the scores' shape.
        scores: The scores of one tensor.
        count: The number of scores to mark.
        guess: A score that may be the lowest score to mark. A right guess saves the search for it. A wrong guess costs
            one pass over the scores.

    Raises:
        ValueError: If the scores change between two passes.
    """
    if count == 0:
        mask.zero_()
        return
    flat = mask.view(-1) if mask.is_contiguous() else torch.empty_like(mask.flatten())
    if guess is None or not _keep_above_(flat, scores, count, guess):
        cut = find_cut(scores, count).value
        if not _keep_above_(flat, scores, count, cut):
            raise UserError("The scores changed between two passes: give a criterion that always scores the same.")
    if not mask.is_contiguous():
        mask.copy_(flat.view_as(mask))


def _keep_above_(flat: Tensor, scores: Scores, count: int, cut: float) -> bool:
    """Mark scores above ``cut``, and ties up to ``count``. False if ``cut`` is not the lowest score to mark."""
    (name,) = scores
    missing = count
    for part, piece in zip(torch.split(flat, PIECE), scores.pieces(name), strict=True):
        missing -= mark_above(piece, cut, part)
    if missing <= 0:
        return missing == 0
    for part, piece in zip(torch.split(flat, PIECE), scores.pieces(name), strict=True):
        ties = (piece == cut).nonzero().squeeze(1)[:missing]
        part[ties] = 1
        missing -= len(ties)
    return missing == 0


def check_counts(living: Mapping[str, int], counts: Mapping[str, int]) -> None:
    """Refuse an allocation that cannot be met.

    Args:
        living: The number of living weights of each tensor, by name.
        counts: The number of weights that each tensor should keep, by name.

    Raises:
        ValueError: If the names differ, or a tensor should keep fewer than 0 weights or more than live in it. The error
            lists these tensors.
    """
    if living.keys() != counts.keys():
        raise UserError(
            f"The allocation must name every prunable tensor once: missing {sorted(living.keys() - counts.keys())}, "
            f"unknown {sorted(counts.keys() - living.keys())}."
        )
    wrong = [
        f"{name} (keep {counts[name]} of {living[name]} living)"
        for name in living
        if not 0 <= counts[name] <= living[name]
    ]
    if wrong:
        raise UserError(f"The allocation cannot be met in {', '.join(wrong)}: dead weights never come back.")
