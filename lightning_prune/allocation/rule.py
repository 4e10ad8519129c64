"""An allocation with parameters: a frozen value under one class, so that a config can say which and how."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from lightning_prune.basics.dotted_paths import call_of
from lightning_prune.criteria.scores import Scores


class Rule(ABC):
    """From scores and a density to counts, as the functions are; the fields are what can be chosen.

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

    @abstractmethod
    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        """Allocate.

        Args:
            scores: The scores of all prunable weights.
            density: What to keep of them, in (0, 1].

        Returns:
            The number of weights that each tensor keeps; they add up to ``round(density * scores.size)``, less at most
            :meth:`most_unspent`.
        """

    def most_unspent(self, scores: Scores) -> int:
        """How many weights of the budget may be left over, where weights are kept in larger units.

        Args:
            scores: The scores of all prunable weights.
        """
        return 0

    def __repr__(self) -> str:
        return call_of(self)
