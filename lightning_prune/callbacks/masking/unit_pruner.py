"""Prune whole units: score them by their weights, and spread their masks over the tensors that they lie in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_prune.allocation import Allocation
from lightning_prune.basics.random_state import seed_of
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.gathering.activations.measure import contribution_grams, unit_outputs
from lightning_prune.callbacks.gathering.gate_gradients import squared_gate_gradients
from lightning_prune.callbacks.gathering.gatherer import Origin, source_of
from lightning_prune.callbacks.gathering.source import Source
from lightning_prune.callbacks.masking.pruner import Pruner
from lightning_prune.callbacks.masking.unit_evidence import score_units
from lightning_prune.callbacks.masking.what_a_prune_leaves import warn_of_narrowed
from lightning_prune.callbacks.settings.described import describe
from lightning_prune.criteria import Criterion, scores_entries, scores_units
from lightning_prune.criteria.evidence import OUTPUTS, READ
from lightning_prune.criteria.scores import DEAD, Scores
from lightning_prune.granularity.base import Units
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.granularity.quantities import Linear, Measure, Removed, find_counts, in_multiples, refuse_minima
from lightning_prune.granularity.reduce import FILL, Reduce, reduced
from lightning_prune.masks.factors import Factors, living, product
from lightning_prune.masks.masks import Masks
from lightning_prune.masks.packing import pack_bits, unpack_bits
from lightning_prune.masks.tally import Tally
from lightning_prune.selection.sharding import is_sharded, placed


@dataclass(frozen=True)
class Division:
    """How a network is divided into units.

    Args:
        units: The units.
        covered: The tensors that the units lie in, by name.
        reduce: What makes one score of the scores of a unit's weights.
    """

    units: Units
    covered: Mapping[str, Tensor]
    reduce: Reduce


class UnitPruner(Pruner):
    """The masks of a network in units larger than a weight.

    ``masks`` has one entry for each unit. To all that scores, ranks and compares, a group of units is like a tensor.

    Args:
        weights: The prunable weights by name.
        criterion: How much each weight matters.
        allocation: How many units each group keeps.
        seed: Decides, with the cycle and the tensor's name, what a random criterion keeps.
        transposed: The groups of transposed convolutions by the names of their weights.
        division: The units.
        measure: What a sparsity is a fraction of. None: of the units.
    """

    changes_weights = False

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        criterion: Criterion,
        allocation: Allocation,
        seed: int,
        transposed: Mapping[str, int],
        division: Division,
        measure: Measure | None,
    ) -> None:
        super().__init__(weights, criterion, allocation, seed, transposed, measure)
        self.division = division
        self.masks = self._blank_masks()
        self._of_units: dict[str, dict[str, Tensor]] = {}
        self._counted: tuple[dict[str, Tensor], Tally] | None = None

    @property
    def units(self) -> Units:
        """The units of the weights that are pruned."""
        return self.division.units

    @property
    def covered(self) -> Mapping[str, Tensor]:
        return {name: self.division.covered[name] for name in self.units.covered}

    def held(self) -> Mapping[str, Tensor | Factors]:
        held: dict[str, Tensor | Factors] = {}
        for name, factors in self.units.factors(self._unit_masks()).items():
            tensor = self.division.covered[name]
            if is_sharded(tensor):
                held[name] = placed(product(factors, tensor.shape).contiguous(), tensor)
            else:
                held[name] = tuple(factor.to(tensor.device) for factor in factors)
        return held

    def whole_masks(self) -> dict[str, Tensor]:
        factors = self.units.factors(self._unit_masks())
        return {name: product(them, self.units.covered[name]).bool() for name, them in factors.items()}

    def living_network(self) -> LivingNetwork | None:
        return self.units.living_network(self._unit_masks())

    def warn_of_losses(self, said: str, before: Mapping[str, int]) -> None:
        super().warn_of_losses(said, before)
        warn_of_narrowed(said, self.masks.shapes, before, self.masks.living)

    def tally(self) -> Tally:
        masks = self._unit_masks()
        if self._counted is None or not _same(self._counted[0], masks):
            self._counted = masks, self._count(masks)
        return self._counted[1]

    def state_dict(self) -> dict[str, Any]:
        masks = {name: pack_bits(mask.to(torch.uint8)) for name, mask in self.whole_masks().items()}
        return {"masks": masks, "units": {"masks": self.masks.pack(), **self.units.state()}, **self.measured}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        if "units" not in saved:
            self.load(saved["masks"])
            return
        refuse_other_units(saved["units"], self.units.state())
        self.masks.unpack_(saved["units"]["masks"])

    def load(self, packed: Mapping[str, Tensor], exact: bool = True) -> None:
        shapes = self.units.covered
        wanted = {name: unpack_bits(bits, shapes[name]) for name, bits in packed.items()}
        masks = self.units.found(wanted)
        spread = self.units.factors({name: mask for name, mask in masks.items() if not bool(mask.all())})
        for name, mask in wanted.items() if exact else ():
            if name not in spread or not torch.equal(product(spread[name], shapes[name]) != 0, mask != 0):
                raise UserError(
                    f"The mask of {name!r} has units that are dead in part: it was made with another granularity. "
                    "Give the ticket or the checkpoint of a run with the same granularity=..., or leave it out."
                )
        self.masks.unpack_({name: pack_bits(mask) for name, mask in masks.items() if not bool(mask.all())})

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        packed = self.masks.pack()
        units = self.units.only(weights)
        if not units.shapes:
            raise UserError(
                "IterativePruning has no unit left to prune: all groups have a weight that nobody trains. Give the "
                "optimizers of configure_optimizers the weights that are to be pruned."
            )
        self.division = replace(self.division, units=units)
        self.weights = {name: weights[name] for names in units.weights.values() for name in names}
        self.masks = self._blank_masks()
        self.masks.unpack_({name: bits for name, bits in packed.items() if name in self.masks.shapes})
        self.gatherer.weights = self.weights
        self.measure = None if self.measure is None else self.measure.only(self.masks.shapes)

    def _allocate(self, scores: Scores, density: float) -> Mapping[str, int]:
        units = self.units
        if units.multiple == 1 and not any(units.minimum.values()):
            return super()._allocate(scores, density)
        assert self.measure is not None, "where groups have a minimum there is a measure"
        if getattr(self.allocation, "is_fixed", False):
            return self.allocation(scores, density)
        refuse_minima(self.measure, units, self.masks.living, density)
        return find_counts(in_multiples(self.allocation, units), scores, self.measure, density)

    def _blank_masks(self) -> Masks:
        """Masks that all live, each where the first weight of its group is."""
        units = self.division.units
        devices = {group: self.weights[names[0]].device for group, names in units.weights.items()}
        return Masks({
            group: torch.empty(shape, dtype=torch.uint8, device=devices[group])
            for group, shape in units.shapes.items()
        })  # fmt: skip

    def _unit_masks(self) -> dict[str, Tensor]:
        return {name: mask for name in self.units.shapes if (mask := self.masks[name]) is not None}

    def _count(self, masks: Mapping[str, Tensor]) -> Tally:
        shapes, factors = self.units.covered, self.units.factors(masks)
        counts = {
            name: living(factors[name], shape) if name in factors else shape.numel() for name, shape in shapes.items()
        }
        size, alive = sum(shape.numel() for shape in shapes.values()), sum(counts.values())
        if isinstance(self.measure, Linear) and self.measure.of_weights:
            return Tally(shapes, counts, (size - alive) / size)
        if isinstance(self.measure, Removed):
            return Tally(shapes, counts, 1 - self.measure.of_masks(masks) / self.measure.total())
        return Tally(shapes, counts, self._sparsity())

    def _gather(self, trainer: Origin | None, cycle: int, sparsity: float, rehearsal: bool) -> None:
        masks: dict[str, Tensor | None] = {**dict.fromkeys(self.weights), **self.whole_masks()}
        masks = {name: masks[name] for name in self.weights}
        alive = sum(w.numel() if (m := masks[n]) is None else int(m.sum()) for n, w in self.weights.items())
        size = sum(weight.numel() for weight in self.weights.values())
        self.gatherer.gather(trainer, masks, cycle, max(min(round((1 - sparsity) * size), alive), 1), rehearsal)
        self._of_units = {} if trainer is None else self._gather_of_units(trainer, cycle, rehearsal)

    def _gather_of_units(self, trainer: Origin, cycle: int, rehearsal: bool) -> dict[str, dict[str, Tensor]]:
        """Measure what belongs to whole units, and not to their weights."""
        needs, what, found = self.gatherer.needs, str(describe(self.criterion)), {}
        batches, seed = 1 if rehearsal else needs.batches, seed_of(self.seed, cycle, "batches")
        if "squared_gate_gradient" in needs.kinds and not isinstance(trainer, Source):
            gates = squared_gate_gradients(trainer, self.units, self.covered, batches, seed, what)
            found["squared_gate_gradient"] = {group: one[:, None] for group, one in gates.items()}
        if seen := [kind for kind in (*OUTPUTS, *READ) if kind in needs.kinds]:
            source = source_of(trainer)
            source.refuse(self.covered, what, seen)
            if outputs := [kind for kind in seen if kind in OUTPUTS]:
                found |= unit_outputs(source, self.units, self.covered, outputs, batches, seed)
            if "contribution_gram" in seen:
                grams = contribution_grams(source, self.units, self.covered, batches, seed)
                found["contribution_gram"] = grams
        return found

    def _scores(self, cycle: int) -> Scores:
        self._unchecked = set(self.weights)
        units = self.units
        scores = {group: self._score(cycle, group, part=None) for group in units.shapes}
        self._unchecked = set()  # all were looked at
        return Scores(units.shapes, self.masks.living, scores.__getitem__, kernels=units.kernels, kinds=units.kinds)

    def _score(self, cycle: int, name: str, part: slice | None) -> Tensor:
        """The scores of the units of a group. Dead units are marked."""
        masks = self._unit_masks()
        score = self._score_all(cycle, name, masks).view(self.units.shapes[name])
        return score if name not in masks else score.masked_fill(masks[name] == 0, DEAD)

    def _score_all(self, cycle: int, name: str, masks: Mapping[str, Tensor]) -> Tensor:
        """The scores of the units of a group, whether dead or alive."""
        units, reduce, given = self.units, self.division.reduce, self.criterion
        if scores_units(given):
            args = (masks, self.weights, self.covered, self._of_units, self.gatherer, cycle, str(describe(given)))
            return score_units(given, units, name, *args)
        if scores_entries(given):
            first = units.weights[name][0]
            evidence = self.gatherer.for_weight(cycle, first, None, self.weights[first].device)
            return given(torch.ones(units.shapes[name], device=self.weights[first].device), evidence)

        def rates(weight: str) -> Tensor:
            return self._rate(cycle, weight, None)

        def ones(weight: str) -> Tensor:
            return torch.ones(self.weights[weight].shape, device=self.weights[weight].device)

        sizes = torch.stack([one.sum(1) for one in units.rows(name, ones, 0.0, masks)]).sum(0)
        return reduced(units.rows(name, rates, FILL[reduce], masks), sizes, reduce)


def refuse_other_units(saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to resume with other units than the masks are of.

    Args:
        saved: The units in the checkpoint.
        given: The units of this run.

    Raises:
        ValueError: If they differ. The error says where.
    """
    for what, mine in given.items():
        theirs = saved.get(what, {})
        different = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
        if different:
            name = different[0]
            raise UserError(
                f"IterativePruning cannot resume: the {what} of this run are not those of the checkpoint. For "
                f"{name!r} it has {theirs.get(name, 'none')}, and this run has {mine.get(name, 'none')}. Resume with "
                "the same network and the same granularity=... and prunable=..."
            )


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)
