"""Measure the time of a network at several widths of its groups, for estimates of every other width."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lightning_prune.deployment.profiling.layer_shapes import shapes_in_layers
from lightning_prune.deployment.profiling.own_times import own_times
from lightning_prune.deployment.profiling.runtimes.in_torch import in_torch
from lightning_prune.deployment.profiling.turns import Clock, Times, in_turn
from lightning_prune.granularity.interpolation import Curve, constant_part, rising
from lightning_prune.granularity.latency import Latency
from lightning_prune.granularity.latency_table import LatencyTable
from lightning_prune.shrinking.briefly_small import while_cut
from lightning_prune.shrinking.quiet_calls import Call
from lightning_prune.structures.groups import Group

FRACTIONS = (0.0, 0.25, 0.5, 0.75)  # of a group, beside the whole one. 0 stands for a single unit.
WARM_UP = 1
TURNS = 5

Groups = Mapping[str, Group]
Seconds = dict[str, float]


def measure_widths(
    module: nn.Module, call: Call, groups: Groups, latency: Latency, clock: Clock | None = None
) -> LatencyTable:
    """Measure the time of each layer, with one group narrowed at a time, and with all narrowed together.

    Args:
        module: The network. It stays as it is.
        call: Runs it on a batch.
        groups: The groups that may be pruned, by name. A group without which the network does not run counts as
            constant.
        latency: The number of threads and of rounds.
        clock: Tells the time in seconds. None: see :func:`clock_for`.

    Returns:
        The table.
    """
    with in_torch(module, call, latency.threads) as run:
        bench = _Bench(module, run, latency, clock or clock_for(module, latency.threads))
        places = {name: [float(one) for one in widths_of(group)] for name, group in groups.items()}
        alone = {name: bench.narrowed({name: group}, places[name][:-1]) for name, group in groups.items()}
        able = {name: group for name, group in groups.items() if alone[name]}
        joint = bench.narrowed(able, FRACTIONS) if able else []
        totals = [bench.total(able, place) for place in FRACTIONS] if joint else []
        bench.look_again()
    curves = {name: bench.curves(alone[name], places[name]) for name in able}
    joined = bench.curves(joint, [*FRACTIONS, 1.0])
    curves = {name: {layer: one for layer, one in its.items() if layer in joined} for name, its in curves.items()}
    layers = list(dict.fromkeys(layer for its in curves.values() for layer in its))
    mine = {layer: [(curves[name][layer], groups[name].width) for name in able if layer in curves[name]]
            for layer in layers}  # fmt: skip
    # Watching layers takes time, too. So they may add up to more than the network.
    scale = min(bench.plain / (sum(bench.whole[layer] for layer in layers) or 1.0), 1.0)
    sums = LatencyTable(
        latency,
        bench.plain,
        {layer: scale * bench.whole[layer] for layer in layers},
        curves,
        {layer: _constant(joined[layer], mine[layer]) for layer in layers},
        {name: group.width for name, group in groups.items()},
        Curve((0.0,), (bench.plain,)),
    )
    told = [sums.sum_of_layers(_counts(able, place)) for place in FRACTIONS] if joint else []
    return replace(sums, total=_through([*told, bench.plain], [*totals, bench.plain]))


def measure_living(
    module: nn.Module, call: Call, groups: Groups, alive: Mapping[str, Tensor], latency: Latency
) -> tuple[float, float]:
    """Measure the whole network and the network without its dead units, in turn.

    Args:
        module: The network. It stays as it is.
        call: Runs it on a batch.
        groups: The groups whose dead units are removed, by name.
        alive: The living units of some of them.
        latency: The number of threads and of rounds.

    Returns:
        The shortest time of both, in seconds.
    """
    clock, found = clock_for(module, latency.threads), list[list[Times]]([[], []])
    with in_torch(module, call, latency.threads) as run:
        for _ in range(TURNS):
            found[0] += in_turn([run], latency.rounds, WARM_UP, clock)
            with while_cut(module, groups, alive):
                found[1] += in_turn([run], latency.rounds, WARM_UP, clock)
    whole, left = (min(one.minimum for one in times) for times in found)
    return whole, left


def clock_for(module: nn.Module, threads: int) -> Clock:
    """Choose a clock: with one thread on a CPU the time of this thread, which other programs disturb less.

    Args:
        module: The network.
        threads: The number of threads.
    """
    alone = threads == 1 and all(one.device.type == "cpu" for one in module.parameters())
    return time.thread_time if alone else time.perf_counter


def widths_of(group: Group) -> list[int]:
    """The widths at which a group is measured, the whole one last.

    Example:
        >>> widths_of(Group("a", 64, ())), widths_of(Group("b", 2, ()))
        ([1, 16, 32, 48, 64], [1, 2])
    """
    return sorted({max(round(one * group.width), 1) for one in (*FRACTIONS, 1.0)})


class _Bench:
    """Measures a network whole and narrowed."""

    def __init__(self, module: nn.Module, run: Callable[[], object], latency: Latency, clock: Clock) -> None:
        self.module, self.run, self.rounds, self.clock = module, run, latency.rounds, clock
        self.plain, self.whole = float("inf"), dict[str, float]()
        self.shapes = shapes_in_layers(module, run)
        self.look_again()

    def look_again(self) -> None:
        """Measure the whole network once more. The shortest times count."""
        (found,) = in_turn([self.run], self.rounds, WARM_UP, self.clock)
        self.plain = min(self.plain, found.minimum)
        now = self._times()
        self.whole = {layer: min(seconds, self.whole.get(layer, seconds)) for layer, seconds in now.items()}

    def narrowed(self, groups: Groups, places: Sequence[float]) -> list[Seconds]:
        """The times of the layers that depend on groups. Empty if the network does not run without units of them.

        Args:
            groups: The groups that are narrowed together.
            places: To what they are narrowed: fractions below 1, or widths.
        """
        self.look_again()
        found, touched = list[Seconds](), set[str]()
        for place in places:
            try:
                with while_cut(self.module, groups, _narrowed(groups, place)):
                    shapes = shapes_in_layers(self.module, self.run)
                    found.append(self._times())
            except Exception:  # code holds the width: the group is masked and never removed
                return []
            touched |= {layer for layer in self.shapes if shapes.get(layer) != self.shapes[layer]}
        return [{layer: one[layer] for layer in touched if layer in one} for one in found]

    def total(self, groups: Groups, place: float) -> float:
        """The time of the network where groups are narrowed, without watching its layers."""
        with while_cut(self.module, groups, _narrowed(groups, place)):
            return in_turn([self.run], TURNS * self.rounds, WARM_UP, self.clock)[0].minimum

    def curves(self, found: Sequence[Seconds], places: Sequence[float]) -> dict[str, Curve]:
        """How much is left of the time of each layer at each place. The last place is that of the whole network."""
        layers = [layer for layer in (found[0] if found else ()) if all(layer in one for one in found)]
        return {
            layer: Curve(tuple(places), rising([*(one[layer] / self.whole[layer] for one in found), 1.0]))
            for layer in layers
            if self.whole[layer] > 0
        }

    def _times(self) -> Seconds:
        return own_times(self.module, self.run, self.rounds, WARM_UP, self.clock)


def _narrowed(groups: Groups, place: float) -> dict[str, Tensor]:
    """The living units of groups at a width, or at a fraction below 1. The first ones live."""
    return {name: torch.arange(groups[name].width) < count for name, count in _counts(groups, place).items()}


def _counts(groups: Groups, place: float) -> dict[str, int]:
    wanted = {name: place if place >= 1 else place * group.width for name, group in groups.items()}
    return {name: max(round(count), 1) for name, count in wanted.items()}


def _through(places: Sequence[float], values: Sequence[float]) -> Curve:
    """A curve through points whose places rise. Points at a place that does not are left out."""
    points = [(place, value) for place, value in zip(places, rising(values, values[-1]), strict=True)]
    kept = [one for one, later in zip(points, [*points[1:], (float("inf"), 0.0)], strict=True) if one[0] < later[0]]
    return Curve(tuple(place for place, _ in kept), tuple(value for _, value in kept))


def _constant(joint: Curve, alone: Sequence[tuple[Curve, int]]) -> float:
    """The constant part of a layer, from its times with all groups narrowed and with each group of some width alone."""
    counts = [[max(round(place * width), 1) for place in joint.places] for _, width in alone]
    values = [[curve(count) for count in its] for (curve, _), its in zip(alone, counts, strict=True)]
    return constant_part(values, joint.values)
