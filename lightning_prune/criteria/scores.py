"""The scores of all weights as a mapping by name, which computes a piece at a time and stores none."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from lightning_prune.basics.user_error import UserError

DEAD = float("-inf")  # the score of dead weights, so that living weights are kept before them
_SMALL = (torch.bool, torch.uint8, torch.int8, torch.int16)  # whole numbers that single precision holds
_EXACT = 2**53  # from here on double precision rounds some whole numbers
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of a score
PIECE = 2**18  # scores that are processed together, so that their temporaries stay in the cache

Whole = Callable[[str], Tensor]
Part = Callable[[str, slice], Tensor]


class Scores(Mapping[str, Tensor]):
    """The scores of all prunable weights, computed at each access and never stored.

    A network's scores take as much memory as the network. A prune reads them a few times, so computing them again is
    cheaper than storing them. If each score depends only on its own weight, scores are computed in pieces that fit into
    the cache.

    Args:
        shapes: The shape of every tensor, by name.
        living: The number of living weights of every tensor, by name. Dead weights score minus infinity.
        whole: Maps a name to the scores of the tensor, in the tensor's shape. Every call must give the same scores.
        part: Maps a name and a slice of the flat tensor to its scores. None if only whole tensors can be scored.
        transposed: The number of groups of each transposed convolution, by the name of its weight. The filters of these
            weights lie along the second dimension.
        kernels: The shape of the weight behind each tensor, by name. It differs from the shape of the scores where
            these are of units larger than a weight. None: the shapes.
        kinds: What each tensor is, by name. Tensors of one kind can be compared. None: the number of dimensions.

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
        kernels: Mapping[str, torch.Size] | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self.transposed = dict(transposed or {})
        self.shapes = dict(shapes)
        self.kernels = self.shapes if kernels is None else dict(kernels)
        self.kinds = {name: f"{len(one)} dimensions" for name, one in shapes.items()} if kinds is None else dict(kinds)
        self.living = dict(living)
        self._whole = whole
        self._part = part

    @classmethod
    def of(cls, scores: Mapping[str, Tensor]) -> "Scores":
        """Wrap scores that are computed already. Minus infinity marks dead weights."""
        living = {name: int(torch.count_nonzero(score != DEAD)) for name, score in scores.items()}
        return cls({name: score.shape for name, score in scores.items()}, living, scores.__getitem__)

    def only(self, name: str) -> "Scores":
        """The scores of one tensor."""
        return self.among([name])

    def among(self, names: Iterable[str]) -> "Scores":
        """The scores of some tensors."""
        shapes = {name: self.shapes[name] for name in names}
        living = {name: self.living[name] for name in shapes}
        return Scores(shapes, living, self._whole, self._part, self.transposed, self.kernels, self.kinds)

    @property
    def size(self) -> int:
        """The number of weights, dead ones included."""
        return sum(shape.numel() for shape in self.shapes.values())

    def __getitem__(self, name: str) -> Tensor:
        return self._whole(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def pieces(self, name: str) -> Iterator[Tensor]:
        """The scores of a tensor, flat and in order, in pieces of at most ``PIECE`` scores."""
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


def mark_dead(score: Tensor, mask: Tensor) -> Tensor:
    """Give dead weights the score minus infinity.

    It is computed on the bits of the scores, which is exact, and on a CPU ten times as fast as ``masked_fill`` with a
    mask whose zeros lie scattered.

    Args:
        score: Floating-point scores of any shape. They are not changed.
        mask: A uint8 tensor of that shape, 1 where alive and 0 where dead.

    Returns:
        The scores where alive, and minus infinity where dead.

    Example:
        >>> mark_dead(torch.tensor([1.0, float("nan"), 3.0]), torch.tensor([1, 0, 1], dtype=torch.uint8))
        tensor([1., -inf, 3.])
    """
    if type(score) is not Tensor or score.element_size() not in _INTEGERS:
        return score.masked_fill(mask == 0, DEAD)
    integers = _INTEGERS[score.element_size()]
    dead = int(torch.tensor(DEAD, dtype=score.dtype).view(integers))
    bits = score.detach().view(integers) ^ dead
    return bits.mul_(mask).bitwise_xor_(dead).view(score.dtype)


def as_floating(name: str, score: object, criterion: str) -> Tensor:
    """Convert scores to real floating-point numbers, which all code after the criterion expects.

    Booleans and whole numbers have no minus infinity to mark dead weights. They become floating-point numbers of the
    same values, in double precision where single precision would round.

    Args:
        name: The tensor's name, for the error.
        score: The scores that a criterion gave for the tensor, or for a part of the tensor.
        criterion: The criterion's name, for the error.

    Returns:
        The scores as float16, bfloat16, float32 or float64.

    Raises:
        ValueError: If the scores are complex, not a tensor, or whole numbers too large for double precision.

    Example:
        >>> as_floating("a", torch.tensor([True, False]), "mine")
        tensor([1., 0.])
    """
    if not isinstance(score, Tensor):
        raise UserError(f"{criterion} gave {score!r} for {name!r}: a criterion returns a tensor, one score a weight.")
    if score.is_complex():
        raise UserError(
            f"{criterion} gave complex scores for {name!r}, which cannot be ranked: return real ones, such as their "
            "absolute values, or give another criterion, such as lightning_prune.magnitude."
        )
    if score.is_floating_point():
        return score if score.element_size() > 1 else score.float()  # eight bits can be stored, but not compared
    if score.dtype in _SMALL:
        return score.float()
    wide = score.double()
    if wide.numel() and max(float(wide.max()), -float(wide.min())) >= _EXACT:
        raise UserError(
            f"{criterion} gave whole numbers of 2**53 or more for {name!r} ({score.dtype}), which double precision "
            "rounds: scores that differ would be ranked as equal. Return smaller or floating-point scores."
        )
    return wide


def check_finite(name: str, score: Tensor, criterion: str) -> None:
    """Refuse scores that are NaN or infinite.

    Args:
        name: The tensor's name, for the error.
        score: Scores of the tensor, before dead weights are marked.
        criterion: The criterion's name, for the error.

    Raises:
        ValueError: If a score is NaN or infinite.
    """
    # A sum reads the scores once and costs a third of isfinite. A sum can overflow, so isfinite has the last word.
    if torch.isfinite(score.sum(dtype=torch.promote_types(score.dtype, torch.float32))) or score.isfinite().all():
        return
    wrong = int(torch.count_nonzero(~score.isfinite()))
    raise UserError(
        f"{criterion} gave {wrong} scores for {name!r} that are NaN or infinite, and the run stops before it prunes by "
        "them. The run has probably diverged: lower the learning rate, or clip the gradients."
    )
