"""Give each group the width that a published network has."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_prune.allocation.rule import Rule
from lightning_prune.basics.user_error import UserError
from lightning_prune.criteria.scores import Scores
from lightning_prune.selection.parameters import matches


@dataclass(frozen=True, repr=False)
class Widths(Rule):
    """Keep given widths, as the published networks of a paper have them. The sparsity of the schedule is not used.

    Every prune leaves these widths, or what lives where less does. The sparsity that is logged is what they remove.

    Reference: Li et al., Pruning Filters for Efficient ConvNets, 2017, https://arxiv.org/abs/1608.08710, whose networks
    A and B have given widths.

    Args:
        widths: Maps a name pattern to what a group keeps: a fraction in (0, 1] of its units, rounded down as in the
            authors' code, or a whole number of units. ``*`` and ``?`` work as in file names, and the name of a module
            stands for everything in it. The first pattern that matches counts. Groups that match none stay whole.

    Raises:
        ValueError: If there are no widths, or a width is neither. A call raises it if a pattern matches nothing, or a
            group has fewer units than its width.

    Example:
        >>> import torch
        >>> scores = Scores.of({"first": torch.rand(10), "second": torch.rand(10), "third": torch.rand(10)})
        >>> Widths({"first": 0.45, "second": 7})(scores, density=0.5)
        {'first': 4, 'second': 7, 'third': 10}
    """

    widths: dict[str, int | float]

    first_match_counts = ("widths",)
    is_fixed = True  # the counts do not depend on the density

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", dict(self.widths))
        if not self.widths or not all(_is_width(width) for width in self.widths.values()):
            raise UserError(
                f"Widths(widths={self.widths}) needs fractions in (0, 1] or whole numbers of at least 1, for instance "
                "{'*.first': 0.5, 'stem': 24}."
            )

    def __call__(self, scores: Scores, density: float) -> Mapping[str, int]:
        names = list(scores)
        for pattern in self.widths:
            if not any(matches(name, pattern) for name in names):
                raise UserError(f"Widths(widths={self.widths}): {pattern!r} matches none of {', '.join(names)}.")
        return {name: min(self._width(name, scores.shapes[name].numel()), scores.living[name]) for name in names}

    def _width(self, name: str, units: int) -> int:
        width = next((width for pattern, width in self.widths.items() if matches(name, pattern)), units)
        if isinstance(width, float):
            return max(int(round(units * width, 9)), 1)
        if width > units:
            raise UserError(f"Widths(widths={self.widths}) asks for {width} units of {name!r}, which has {units}.")
        return width


def _is_width(width: object) -> bool:
    if isinstance(width, bool):
        return False
    return (isinstance(width, int) and width >= 1) or (isinstance(width, float) and 0 < width <= 1)
