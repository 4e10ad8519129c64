"""What the criterion says of every weight: a mapping from names to scores that holds a piece at a time."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

DEAD = float("-inf")  # what dead weights score, so that none is kept before a living one
_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)  # whole numbers that single precision holds
_EXACT = 2**53  # from here on double precision leaves whole numbers out
PIECE = 2**18  # scores looked at together: their temporaries stay in the cache

Whole = Callable[[str], Tensor]
Part = Callable[[str, slice], Tensor]


class Scores(Mapping[str, Tensor]):
    """The scores of all prunable weights, each computed when it is looked at and never stored.

    A network's scores take as much memory as the network. A prune goes over them a few times, so computing them again
    is cheaper than keeping them; where each score depends on its own weight alone, in pieces that fit into the cache.

    Args:
        shapes: The shape of every tensor, by name.
        living: How many of its weights live, by name. Dead weights score minus infinity.
        whole: From a name to the scores, of the tensor's shape; the same at every call.
        part: From a name and a slice of the flat tensor to its scores; None if only whole tensors can be scored.
        transposed: The groups of transposed convolutions, whose filters lie along the second dimension, by name.

    Example:
        >>> scores = Scores.of({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0, DEAD])})
        >>> scores["a"], scores.living, scores.size
        (tensor([3., 1.]), {'a': 2, 'b': 1}, 4)
    """

    def __init__(
        self,
        shapes: Mapping[str, torch.Size],
        living: Mapping[str, int],
        whole: Whole,
        part: Part | None = None,
        transposed: Mapping[str, int] | None = None,
    ) -> None:
        self.transposed = dict(transposed or {})
        self.shapes = dict(shapes)
        self.living = dict(living)
        self._whole = whole
        self._part = part

    @classmethod
    def of(cls, scores: Mapping[str, Tensor]) -> "Scores":
        """Scores that are at hand; minus infinity marks what is dead."""
        living = {name: int(torch.count_nonzero(score != DEAD)) for name, score in scores.items()}
        return cls({name: score.shape for name, score in scores.items()}, living, scores.__getitem__)

    def only(self, name: str) -> "Scores":
        """The scores of one tensor."""
        return Scores({name: self.shapes[name]}, {name: self.living[name]}, self._whole, self._part, self.transposed)

    @property
    def size(self) -> int:
        """How many weights there are, dead ones included."""
        return sum(shape.numel() for shape in self.shapes.values())

    def __getitem__(self, name: str) -> Tensor:
        return self._whole(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def pieces(self, name: str) -> Iterator[Tensor]:
        """The scores of a tensor, flat and in order, in pieces of at most ``PIECE``."""
        if self._part is None:
            yield from torch.split(self._whole(name).detach().flatten(), PIECE)
            return
        for start in range(0, self.shapes[name].numel(), PIECE):
            yield self._part(name, slice(start, start + PIECE))

    def sample(self, name: str, stride: int) -> Tensor:
        """Every ``stride``-th score of the flat tensor."""
        if self._part is None:
            return self._whole(name).detach().flatten()[::stride].clone()  # a view would keep all of them
        return self._part(name, slice(None, None, stride))


def as_floating(name: str, score: object, criterion: str) -> Tensor:
    """Give scores the type that everything after the criterion counts on: real floating-point numbers.

    Booleans and whole numbers have no minus infinity to mark what is dead. They become floating-point numbers of the
    same values: in double precision where single precision would round.

    Args:
        name: The tensor's name, for the error.
        score: What a criterion gave for it, or for a part of it.
        criterion: Who gave it, for the error.

    Returns:
        The scores: float16, bfloat16, float32 or float64.

    Raises:
        ValueError: If they are complex, no tensor, or whole numbers too large for double precision.

    Example:
        >>> as_floating("a", torch.tensor([True, False]), "mine")
        tensor([1., 0.])
    """
    if not isinstance(score, Tensor):
        raise ValueError(f"{criterion} gave {score!r} for {name!r}: a criterion returns a tensor, one score a weight.")
    if score.is_complex():
        raise ValueError(
            f"{criterion} gave complex scores for {name!r}, which cannot be ranked: return real ones, such as their "
            "absolute values, or give another criterion, such as lightning_prune.magnitude."
        )
    if score.is_floating_point():
        return score if score.element_size() > 1 else score.float()  # eight bits can be stored, but not compared
    if score.dtype in _SMALL:
        return score.float()
    wide = score.double()
    if wide.numel() and max(float(wide.max()), -float(wide.min())) >= _EXACT:
        raise ValueError(
            f"{criterion} gave whole numbers of 2**53 or more for {name!r} ({score.dtype}), which double precision "
            "rounds: scores that differ would be ranked as equal. Return smaller or floating-point scores."
        )
    return wide


def check_finite(name: str, score: Tensor, criterion: str) -> None:
    """Refuse scores that are not numbers.

    Args:
        name: The tensor's name, for the error.
        score: Scores of it, before dead weights are marked.
        criterion: Who gave them, for the error.

    Raises:
        ValueError: If a score is NaN or infinite.
    """
    # A sum is one read of the scores, a third of what isfinite costs; it can overflow, hence the second look.
    if torch.isfinite(score.sum(dtype=torch.promote_types(score.dtype, torch.float32))) or score.isfinite().all():
        return
    wrong = int(torch.count_nonzero(~score.isfinite()))
    raise ValueError(
        f"{criterion} gave {wrong} scores for {name!r} that are NaN or infinite, and the run stops before it prunes by "
        "them. It has probably diverged: lower the learning rate, or clip the gradients."
    )
