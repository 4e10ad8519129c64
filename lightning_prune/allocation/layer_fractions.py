"""Prune each tensor by its own fraction per round."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lightning_prune.allocation.budget import budget_of, in_whole_numbers
from lightning_prune.allocation.rule import Rule
from lightning_prune.basics.renamed import former_attribute, renamed_argument
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import Scores
from lightning_prune.selection.parameters import matches


@dataclass(frozen=True, repr=False)
class LayerFractions(Rule):
    """Prune each tensor by its own fraction per round. After ``x`` rounds its density is ``(1 - fraction) ** x``.

    The number of rounds ``x``, whole or not, follows from the density to reach. The lottery-ticket paper prunes fully
    connected and small convolutional networks in this way, with half the fraction for the output layer.

    Reference: Frankle & Carbin, The Lottery Ticket Hypothesis, 2019, https://arxiv.org/abs/1803.03635 (figure 2).

    Args:
        fractions: Maps a name pattern to the fraction of the remaining weights that a round removes, in [0, 1). With 0
            a tensor is never pruned. ``*`` and ``?`` work as in file names. The name of a module stands for every
            tensor in it. The first pattern that matches counts.
        rates: The former name of ``fractions``, which goes with the next version.

    Raises:
        ValueError: If there are no fractions, or a fraction lies outside [0, 1). A call raises it if a pattern matches
            nothing, a tensor matches no pattern, or the tensors that are never pruned have more weights than the
            density keeps.

    Example:
        >>> import torch
        >>> scores = Scores.of({"hidden": torch.rand(1000), "output": torch.rand(100)})
        >>> LayerFractions({"output": 0.1, "*": 0.2})(scores, density=(640 + 81) / 1100)
        {'hidden': 640, 'output': 81}
    """

    fractions: dict[str, float]

    first_match_counts = ("fractions", "rates")
    former_arguments = ("rates",)
    rates = former_attribute("rates", "fractions")

    def __init__(self, fractions: dict[str, float] | None = None, rates: dict[str, float] | None = None) -> None:
        given = dict(renamed_argument(self, "rates", rates, fractions) or {})
        object.__setattr__(self, "fractions", given)
        if not given or not all(0 <= fraction < 1 for fraction in given.values()):
            raise UserError(
                f"LayerFractions(fractions={given}) needs fractions in [0, 1), for instance "
                "{'classifier': 0.1, '*': 0.2}."
            )

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        budget, kept = budget_of(scores, density), self._kept(list(scores))
        always = sum(living for name, living in scores.living.items() if kept[name] == 1)
        if always > budget:
            raise UserError(
                f"LayerFractions(fractions={self.fractions}) never prunes {always} weights, and density {density:.3g} "
                f"keeps {budget}. Give every tensor a fraction above 0, or lower the sparsity."
            )

        def after(rounds: float) -> dict[str, float]:
            dense = {name: shape.numel() for name, shape in scores.shapes.items()}
            return {name: min(dense[name] * kept[name] ** rounds, scores.living[name]) for name in scores}

        rounds = _first_where(lambda rounds: sum(after(rounds).values()) <= budget)
        return in_whole_numbers(after(rounds), scores.living, budget)

    def _kept(self, names: list[str]) -> dict[str, float]:
        """The fraction of each tensor that one round keeps."""
        kept: dict[str, float] = {}
        for pattern, fraction in self.fractions.items():
            matching = [name for name in names if matches(name, pattern)]
            if not matching:
                raise UserError(
                    f"LayerFractions(fractions={self.fractions}): {pattern!r} matches none of {', '.join(names)}."
                )
            kept = {**dict.fromkeys(matching, 1 - fraction), **kept}
        if missing := [name for name in names if name not in kept]:
            raise UserError(
                f"LayerFractions(fractions={self.fractions}) has no fraction for {', '.join(missing)}. Add '*' for all "
                "others."
            )
        return kept


def _first_where(holds: Callable[[float], bool]) -> float:
    """The lowest number, at least 0, for which a condition holds. The condition must hold for all higher numbers."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
