"""Estimate how long a network takes when units are removed, from times measured at some widths of its groups."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from lightning_prune.granularity.interpolation import Curve, combined
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.quantities import Measure
from lightning_prune.structures.groups import Group


@dataclass(frozen=True)
class LatencyTable:
    """The time of a network by the widths of its groups.

    A layer has a constant part, such as the time of the call. The rest of its time shrinks with each group that the
    layer depends on. The sum over the layers is brought to what the network needs when nobody watches its layers.

    Args:
        latency: How the times were measured.
        whole: The time of the whole network, in seconds.
        layers: The times of the layers that depend on a group, in the whole network, by name. They add up to ``whole``
            or less. The rest is constant.
        alone: For each group and each layer that depends on it, how much of the layer's time is left over the width of
            the group, while all other groups are whole. 1 at the full width.
        constant: The constant part of each of these layers, as a fraction of its time: at most the least of these
            values.
        widths: The number of units of each group.
        total: What was measured of the network where all groups are narrowed together, over the sum of the layers.

    Example:
        >>> half, same = Curve((1, 8), (0.5, 1.0)), Curve((0.0, 1.0), (0.0, 1.0))
        >>> layers, alone, widths = {"conv": 0.8}, {"a": {"conv": half}}, {"a": 8, "b": 8}
        >>> table = LatencyTable(Latency(), 1.0, layers, alone, {"conv": 0.2}, widths, same)
        >>> round(table.seconds({"a": 1}), 3), round(table.seconds({"a": 8, "b": 1}), 3)
        (0.6, 1.0)
    """

    latency: Latency
    whole: float
    layers: Mapping[str, float]
    alone: Mapping[str, Mapping[str, Curve]]
    constant: Mapping[str, float]
    widths: Mapping[str, int]
    total: Curve

    def seconds(self, living: Mapping[str, int]) -> float:
        """Estimate the time of a forward pass.

        Args:
            living: The number of living units of each group. A group that is left out is whole.

        Returns:
            The time in seconds.
        """
        return self.total(self.sum_of_layers(living))

    def sum_of_layers(self, living: Mapping[str, int]) -> float:
        """The time as the layers alone tell it. See :meth:`seconds`."""
        left: dict[str, list[float]] = {name: [] for name in self.layers}
        for group, curves in self.alone.items():
            if living.get(group, self.widths[group]) < self.widths[group]:
                for layer, curve in curves.items():
                    left[layer].append(curve(living[group]))
        saved = (self.layers[name] * (1 - combined(parts, self.constant[name])) for name, parts in left.items())
        return self.whole - sum(saved)

    def state(self) -> dict[str, Any]:
        """The table in plain values, which :meth:`of_state` takes."""
        return {
            "latency": asdict(self.latency),
            "whole": self.whole,
            "layers": dict(self.layers),
            "alone": {
                group: {layer: _plain(curve) for layer, curve in curves.items()} for group, curves in self.alone.items()
            },
            "constant": dict(self.constant),
            "widths": dict(self.widths),
            "total": _plain(self.total),
        }

    @classmethod
    def of_state(cls, saved: Mapping[str, Any]) -> "LatencyTable":
        """Make the table that :meth:`state` was taken of."""
        alone = {
            group: {layer: _curve(curve) for layer, curve in curves.items()} for group, curves in saved["alone"].items()
        }
        return cls(
            Latency(**saved["latency"]),
            saved["whole"],
            saved["layers"],
            alone,
            saved["constant"],
            saved["widths"],
            _curve(saved["total"]),
        )


@dataclass(frozen=True)
class Timed(Measure):
    """The estimated time of a forward pass when dead units are removed.

    Args:
        table: What was measured.
        pruned: The names of the groups that are pruned.
        groups: The groups by name, with their slices in buffers, for measuring again.
    """

    table: LatencyTable
    pruned: tuple[str, ...]
    groups: Mapping[str, Group] = field(default_factory=dict)

    def left(self, living: Mapping[str, int]) -> float:
        return self.table.seconds({name: living[name] for name in self.pruned})

    def total(self) -> float:
        return self.table.whole

    def largest(self) -> float:
        return max((self._steepest(name) for name in self.pruned), default=0.0)

    def state(self) -> dict[str, Any]:
        return {"latency": self.table.state()}

    def only(self, groups: Collection[str]) -> "Timed":
        return replace(self, pruned=tuple(name for name in self.pruned if name in groups))

    def _steepest(self, group: str) -> float:
        """The most that one unit of a group costs, while all others live."""
        places = sorted({place for curve in self.table.alone.get(group, {}).values() for place in curve.places})
        times = [self.table.seconds({group: int(place)}) for place in places]
        steps = zip(pairwise(places), pairwise(times), strict=True)
        return max(((late - early) / (high - low) for (low, high), (early, late) in steps), default=0.0)


def _plain(curve: Curve) -> list[list[float]]:
    return [list(curve.places), list(curve.values)]


def _curve(saved: Sequence[Sequence[float]]) -> Curve:
    return Curve(tuple(saved[0]), tuple(saved[1]))
