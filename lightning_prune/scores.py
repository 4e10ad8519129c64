"""What the criterion says of every weight: a mapping from names to scores that holds one tensor at a time."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

DEAD = float("-inf")  # what dead weights score, so that none is kept before a living one


class Scores(Mapping[str, Tensor]):
    """The scores of all prunable weights, each computed when it is looked up and never stored.

    A network's scores take as much memory as the network. Allocations go over them once or twice, so computing them
    again is cheaper than keeping them.

    Args:
        shapes: The shape of every tensor, by name.
        living: How many of its weights live, by name. Dead weights score minus infinity.
        score: From a name to the scores, of the tensor's shape; the same at every call.

    Example:
        >>> scores = Scores.of({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0, DEAD])})
        >>> scores["a"], scores.living, scores.size
        (tensor([3., 1.]), {'a': 2, 'b': 1}, 4)
    """

    def __init__(
        self, shapes: Mapping[str, torch.Size], living: Mapping[str, int], score: Callable[[str], Tensor]
    ) -> None:
        self.shapes = dict(shapes)
        self.living = dict(living)
        self._score = score

    @classmethod
    def of(cls, scores: Mapping[str, Tensor]) -> "Scores":
        """Scores that are at hand; minus infinity marks what is dead."""
        living = {name: int(torch.count_nonzero(score != DEAD)) for name, score in scores.items()}
        return cls({name: score.shape for name, score in scores.items()}, living, scores.__getitem__)

    @property
    def size(self) -> int:
        """How many weights there are, dead ones included."""
        return sum(shape.numel() for shape in self.shapes.values())

    def __getitem__(self, name: str) -> Tensor:
        return self._score(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def check_finite(name: str, score: Tensor, criterion: str) -> None:
    """Refuse scores that are not numbers.

    Args:
        name: The tensor's name, for the error.
        score: Its scores, before dead weights are marked.
        criterion: Who gave them, for the error.

    Raises:
        ValueError: If a score is NaN or infinite.
    """
    # A sum is one read of the tensor, a third of what isfinite costs; it can overflow, hence the second look.
    if torch.isfinite(score.sum(dtype=torch.promote_types(score.dtype, torch.float32))) or score.isfinite().all():
        return
    wrong = int(torch.count_nonzero(~score.isfinite()))
    raise ValueError(
        f"{criterion} gave {wrong} scores of {score.numel()} for {name!r} that are NaN or infinite. Nothing was "
        "pruned. Look for a run that diverged: lower the learning rate, or clip the gradients."
    )
