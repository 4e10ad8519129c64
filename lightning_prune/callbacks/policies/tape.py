"""Record the learning rate of every parameter group at every step of the dense run."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_prune.callbacks.policies.packed_numbers import pack_columns, unpack_columns


class Rate(NamedTuple):
    """The learning rate and the momentum of a parameter group.

    Attributes:
        lr: The learning rate.
        momentum: ``momentum``, or the first of ``betas``. NaN where the optimizer has neither.
    """

    lr: float
    momentum: float


_MANY = 4096  # rows of different rates, from which on they are packed in a checkpoint
Row = tuple[Rate, ...]  # one for each parameter group, over all optimizers


class Tape:
    """The rates of a run, step by step. Consecutive steps with equal rates are stored once.

    Example:
        >>> tape = Tape()
        >>> for step, lr in enumerate([0.1, 0.1, 0.01]):
        ...     tape.record(step, (Rate(lr, 0.9),))
        >>> tape.length, tape.at(1), tape.at(2)[0].lr
        (3, (Rate(lr=0.1, momentum=0.9),), 0.01)
    """

    def __init__(self) -> None:
        self.length = 0
        self.epochs: list[int] = []  # the step at which each epoch began
        self._starts: list[int] = []
        self._rows: list[Row] = []
        self._peaks: list[float] | None = None  # asked for at every step of a cycle
        self._top: int | None = None

    def begin_epoch(self, epoch: int, step: int) -> None:
        """Note that an epoch begins. A second call for the same epoch changes nothing."""
        if epoch == len(self.epochs):
            self.epochs.append(step)

    def record(self, step: int, row: Row) -> None:
        """Record the rates of a step. A repeated step is overwritten.

        Args:
            step: The step, at most one past the last one.
            row: The rate of every parameter group.
        """
        if step != self.length or not self._rows or self._rows[-1] != row:
            self.cut(step)
            if not self._rows or not _same(self._rows[-1], row):
                self._starts.append(step)
                self._rows.append(row)
        self.length = step + 1

    def record_from(self, optimizers: Iterable[Optimizer], step: int) -> Row:
        """Record the rates that the optimizers are about to step with.

        Args:
            optimizers: The optimizers.
            step: The step, at most one past the last one.

        Returns:
            The rate of every parameter group. The same object as for the step before if no rate has changed.
        """
        if step == self.length and self._rows and has_rates(optimizers, self._rows[-1]):
            self.length += 1  # most steps have the rates of the one before: nothing is read or compared twice
        else:
            self.record(step, read_rates(optimizers))
        return self._rows[-1]

    def cut(self, length: int) -> None:
        """Drop the records from a step on: a step that overflowed was recorded, but not made."""
        self._peaks = self._top = None
        while self._starts and self._starts[-1] >= length:
            self._starts.pop()
            self._rows.pop()
        self.length = min(self.length, length)

    def at(self, step: int) -> Row:
        """The rates of a step, ``0 <= step < length``."""
        return self._rows[bisect_right(self._starts, step) - 1]

    def begin_of(self, epoch: int) -> int:
        """The step at which an epoch began. That of the first epoch for those before it, the end for those after.

        Args:
            epoch: The number of the epoch.
        """
        return self.epochs[max(epoch, 0)] if epoch < len(self.epochs) else self.length

    @property
    def last(self) -> Row:
        """The rates of the last step."""
        return self._rows[-1]

    @property
    def is_constant(self) -> bool:
        """Whether all recorded rates are the same. True for an empty tape."""
        return len(self._rows) < 2

    def peaks(self) -> list[float]:
        """The largest rate of each parameter group."""
        if self._peaks is None:
            groups = max((len(row) for row in self._rows), default=0)
            self._peaks = [max(row[group].lr for row in self._rows if group < len(row)) for group in range(groups)]
        return self._peaks

    def top(self) -> int:
        """The first step at which the group with the largest rate has it: where a warm-up ends, 0 without one."""
        if self._top is None:
            peaks = self.peaks()
            group = peaks.index(max(peaks))
            rows = zip(self._starts, self._rows, strict=True)
            self._top = next(at for at, row in rows if len(row) > group and row[group].lr == peaks[group])
        return self._top

    def state_dict(self) -> dict[str, Any]:
        """The tape as plain types and tensors."""
        groups = max((len(row) for row in self._rows), default=0)
        padded = [[*row, *[Rate(math.nan, math.nan)] * (groups - len(row))] for row in self._rows]
        rates = torch.tensor(padded, dtype=torch.float64).view(len(self._rows), groups, 2)
        columns = {
            "starts": torch.tensor(self._starts, dtype=torch.int64),
            "groups": torch.tensor([len(row) for row in self._rows], dtype=torch.int64),
            "rates": rates,
        }
        if len(self._rows) >= _MANY:
            columns = {name: pack_columns(one.view(len(self._rows), -1)) for name, one in columns.items()}
        return {"length": self.length, "epochs": torch.tensor(self.epochs, dtype=torch.int64), **columns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state that :meth:`state_dict` gave, in this version or in one that packed nothing."""
        starts, sizes, rates = (state[name] for name in ("starts", "groups", "rates"))
        if rates.dtype == torch.uint8:
            starts, sizes = (unpack_columns(one, 1, torch.int64).flatten() for one in (starts, sizes))
            groups = int(sizes.max())
            rates = unpack_columns(rates, 2 * groups, torch.float64).view(len(starts), groups, 2)
        self._peaks = self._top = None
        self.length = int(state["length"])
        self.epochs = state["epochs"].tolist()
        self._starts = starts.tolist()
        self._rows = [
            tuple(Rate(*pair) for pair in row[:groups])
            for row, groups in zip(rates.tolist(), sizes.tolist(), strict=True)
        ]


def read_rates(optimizers: Iterable[Optimizer]) -> Row:
    """The rates that the optimizers would step with now."""
    return tuple([Rate(float(group["lr"]), _momentum(group)) for one in optimizers for group in one.param_groups])


def has_rates(optimizers: Iterable[Optimizer], row: Row) -> bool:
    """Whether the optimizers would step with these rates now: asked in every step, where reading them takes longer.

    Args:
        optimizers: The optimizers.
        row: The rate of every parameter group. Where its momentum is NaN, any momentum will do.

    Returns:
        False also if there are more groups, or fewer.
    """
    place, length = 0, len(row)
    for one in optimizers:
        for group in one.param_groups:
            if place == length:
                return False
            lr, momentum = row[place]
            if float(group["lr"]) != lr:
                return False
            if momentum == momentum and _momentum(group) != momentum:  # NaN is equal to nothing
                return False
            place += 1
    return place == length


def write_rates(optimizers: Iterable[Optimizer], row: Sequence[Rate]) -> None:
    """Make the optimizers step with these rates. Groups beyond the row keep their rates.

    Args:
        optimizers: The optimizers.
        row: The rate of every parameter group. Where its momentum is NaN, the momentum of the group stays as it is.
    """
    groups = [group for one in optimizers for group in one.param_groups]
    for group, (lr, momentum) in zip(groups, row, strict=False):
        if isinstance(group["lr"], Tensor):  # a capturable optimizer reads it on its device
            group["lr"].fill_(lr)
        else:
            group["lr"] = float(lr)
        if not math.isnan(momentum):
            _write_momentum(group, float(momentum))


def _momentum(group: Mapping[str, Any]) -> float:
    if "betas" in group:
        return float(group["betas"][0])
    return float(group.get("momentum", math.nan))


def _write_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = momentum


def _same(one: Row, other: Row) -> bool:
    return len(one) == len(other) and all(
        a.lr == b.lr and (a.momentum == b.momentum or (math.isnan(a.momentum) and math.isnan(b.momentum)))
        for a, b in zip(one, other, strict=True)
    )
