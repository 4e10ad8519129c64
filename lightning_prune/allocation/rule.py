"""The base class of allocations with parameters, which configs can name together with their parameters."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from lightning_prune.basics.dotted_paths import call_of
from lightning_prune.criteria.scores import Scores


class Rule(ABC):
    """An allocation with parameters: a callable that maps scores and a density to counts.

    Subclasses are frozen dataclasses, and their fields are the parameters. A parameter that maps name patterns, of
    which the first that matches counts, is named in ``first_match_counts``. Then arms of a study that order the
    patterns in another way are trained apart.

    Example:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from lightning_prune.allocation import spend
        >>> @dataclass(frozen=True, repr=False)
        ... class Densest(Rule):
        ...     first: str
        ...     def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        ...         return spend({name: 1.0 + (name == self.first) for name in scores}, scores, density)
        >>> Densest("a")(Scores.of({"a": torch.rand(10), "b": torch.rand(10)}), density=0.3)
        {'a': 4, 'b': 2}
    """

    first_match_counts: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        """Allocate.

        Args:
            scores: The scores of all prunable weights.
            density: The fraction of all weights to keep, in (0, 1].

        Returns:
            The number of weights that each tensor keeps. The numbers add up to ``round(density * scores.size)``, minus
            at most :meth:`most_unspent`.
        """

    def most_unspent(self, scores: Scores) -> int:
        """The number of weights of the budget that may be left over, because weights are kept in larger units.

        Args:
            scores: The scores of all prunable weights.
        """
        return 0

    def __repr__(self) -> str:
        return call_of(self)
