"""The clock of the cycles, and the base class of the callbacks that ask the clock for the time."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import count
from typing import Any, ClassVar

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_prune.basics.too_early import ObjectsOnly
from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.compat.namespaces import in_both_namespaces
from lightning_prune.callbacks.cycle import Cycle
from lightning_prune.callbacks.settings.described import describe_call, describe_object
from lightning_prune.callbacks.timing.position import Position
from lightning_prune.callbacks.timing.timeline import Timeline
from lightning_prune.granularity.living_network import LivingNetwork
from lightning_prune.schedules.durations import Duration

ADDED = "_added_by_the_clock"  # an attribute of the callbacks that the user did not write


class Kind(Enum):
    """The part that a callback has in the cycles. The members stand in the order in which a fit calls them."""

    CLOCK = "count the cycles"
    LEARNING_RATE = "set the learning rate"
    WEIGHTS = "set the weights"
    BESIDE = "work beside them"


_UNJOINED = count()  # the keys of callbacks that have not joined a fit
RIVALS = (Kind.CLOCK, Kind.LEARNING_RATE, Kind.WEIGHTS)  # a fit has at most one of each


@in_both_namespaces
class CycleMember(Callback, metaclass=ObjectsOnly):
    """A callback that has a part in the cycles: the clock, or one that works beside it.

    Attributes:
        joined: Whether a fit or an evaluation was set up with it.
    """

    _kind: ClassVar[Kind] = Kind.BESIDE
    _always_said: ClassVar[tuple[str, ...]] = ()
    joined: bool = False

    @property
    def state_key(self) -> str:
        """Its class, in every checkpoint.

        Before a rival has joined a fit every key is another one: the Trainer looks for equal keys as soon as it is
        made, and would refuse a second one, or the same one twice, before we can say what to do about it.
        """
        name = type(self).__qualname__  # as Lightning's own, which asks for it at every call of every hook
        return name if self.joined or self._kind not in RIVALS else f"{name} {next(_UNJOINED)}"

    def __repr__(self) -> str:
        return describe_call(self, self._always_said)


class CycleClock(CycleMember):
    """Say which cycle is running. ``IterativePruning`` is this callback.

    Attributes:
        cycles: How many cycles there are.
    """

    _kind = Kind.CLOCK
    _always_said = ("cycles", "retrain", "sparsity")
    cycles: int
    _at: Position
    _timeline: Timeline

    @property
    def cycle(self) -> Cycle | None:
        """The cycle that is running. None in the dense run."""
        return self._at.cycle

    @property
    def step(self) -> int:
        """How many optimizer steps were made since the start of the fit, before the current batch."""
        return self._at.step

    @property
    def epoch(self) -> int:
        """The current epoch, counted from 0 at the start of the fit."""
        return self._at.epoch

    @property
    def dense_length(self) -> Duration:
        """The length of the dense run, in this fit or before it."""
        return self._timeline.dense_run

    @property
    def cycle_length(self) -> Duration:
        """The length of a cycle."""
        return self._timeline.retrain

    @property
    def retraining(self) -> Cycle | None:
        """The cycle that is running after the dense run. None in the dense run, also where cycles lie inside it."""
        return None if self._timeline.inside is not None else self._at.cycle

    @property
    def dense_end(self) -> int | None:
        """The step of this fit at which the dense run ended. None while the dense run goes on."""
        return self._at.dense_end

    @property
    def is_gradual(self) -> bool:
        """Whether the cycles lie inside the dense run, whose learning rates go on."""
        return self._timeline.inside is not None

    def ends_with_epoch(self, cycle: int) -> bool:
        """Whether a cycle, or the dense run as cycle 0, is over when the current epoch ends.

        Args:
            cycle: The number of the cycle. A cycle whose length is in steps is never over with an epoch.
        """
        if cycle == 0:
            return self._at.reaches_with_epoch(self._timeline.dense)
        return self._timeline.by_epochs and self._timeline.index(self._at.scheduled_epoch + 1, None) > cycle

    @property
    @abstractmethod
    def masks(self) -> dict[str, Tensor]:
        """The masks by name, true where a weight is alive. Tensors without a dead weight are left out."""

    @property
    @abstractmethod
    def covered(self) -> Mapping[str, Tensor]:
        """The tensors that can have masks, by name. They are the module's own."""

    @property
    def living_network(self) -> LivingNetwork | None:
        """What is left when dead units are removed. None if weights are masked that cannot be removed."""
        return None

    @property
    @abstractmethod
    def measured_sparsity(self) -> float:
        """The fraction of the prunable weights that is dead, counted."""

    @abstractmethod
    def scheduled(self, cycle: int) -> float:
        """The sparsity that the schedule asks for in a cycle."""

    @abstractmethod
    def note(self, name: str, value: Any) -> None:
        """Write a value into ``pruning.json``.

        Args:
            name: The key in the file. A value that was written under it before is replaced.
            value: Plain values: numbers, texts, lists and dictionaries of them.
        """

    @abstractmethod
    def note_stop(self, trainer: "pl.Trainer") -> None:
        """Note that an ``EarlyStopping`` has decided to stop, in a validation or at the end of an epoch."""


class CycleCallback(CycleMember):
    """Base class of callbacks that work beside ``IterativePruning`` and may ask it for the time.

    Attributes:
        rewind_point: The point of the dense run that every cycle goes back to. None: the cycles go back to no point.
        replays: Whether the cycle is to repeat the dense run from the rewind point to its end.
        former_arguments: Names of arguments that only stand for another one, and are no settings.
        leaves_out_cycles: Whether the callback may leave out the training of a cycle, so that the length of the fit is
            not known before it.
    """

    former_arguments: tuple[str, ...] = ()
    rewind_point: Duration | None = None
    replays: bool = False
    leaves_out_cycles: bool = False
    _clock: CycleClock | None = None
    _as_given: str | None = None

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        self.joined = True
        if stage == "fit":
            self._clock = find_clock(trainer, self)
            self._as_given = describe_object(self)  # before a state is loaded, which may be kept in the same attributes
            self.forget()

    def forget(self) -> None:
        """Drop what an earlier fit or an evaluation has left here. Called before a saved state is loaded."""

    def length_of(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", cycle: int) -> Duration | None:
        """Say how long the cycle that begins lasts. Called after the prune and before the weights are set.

        Args:
            trainer: The trainer.
            pl_module: The module, pruned.
            cycle: The number of the cycle.

        Returns:
            The length in the unit of ``clock.cycle_length``, the same on every process. 0, where cycles go by epochs:
            the cycle is pruned and not trained. None: ``clock.cycle_length`` itself.
        """
        return None

    @property
    def as_given(self) -> str:
        """This callback as it was made, for the comparison when a fit is resumed."""
        return self._as_given or describe_object(self)

    @property
    def clock(self) -> CycleClock:
        """The ``IterativePruning`` of this fit."""
        if self._clock is None:
            raise RuntimeError(f"{type(self).__name__} has no clock before the fit is set up.")
        return self._clock


def kind_of(callback: object) -> Kind | None:
    """Say which part a callback has in the cycles.

    Args:
        callback: A callback or its class. Any other object has no part.

    Returns:
        The kind of the callback. None: the callback has no part in the cycles.

    Example:
        >>> from lightning_prune import FineTune, WeightRewind
        >>> kind_of(FineTune()), kind_of(WeightRewind), kind_of(Callback())
        (<Kind.LEARNING_RATE: 'set the learning rate'>, <Kind.WEIGHTS: 'set the weights'>, None)
    """
    cls = callback if isinstance(callback, type) else type(callback)
    return cls._kind if issubclass(cls, CycleMember) else None


def clock_of(callbacks: Iterable[object]) -> CycleClock | None:
    """Find the clock among callbacks: the first ``IterativePruning``. Return None if there is none.

    Example:
        >>> from lightning_prune import FineTune, IterativePruning
        >>> clock_of([FineTune(), IterativePruning(cycles=3)]).cycles
        3
    """
    return next((one for one in callbacks if isinstance(one, CycleClock)), None)


def find_clock(trainer: "pl.Trainer", asker: Callback) -> CycleClock:
    """Find the ``IterativePruning`` among the callbacks of a trainer.

    Args:
        trainer: The trainer.
        asker: Who needs it, for the error.

    Returns:
        The clock.

    Raises:
        ValueError: If there is none.
    """
    clock = clock_of(trainer.callbacks)  # type: ignore[attr-defined]
    if clock is not None:
        return clock
    name = type(asker).__name__
    raise UserError(
        f"{name} does nothing without IterativePruning: it only says how the cycles are retrained. Add it: "
        f"Trainer(callbacks=[IterativePruning(cycles=10, retrain='15ep'), {name}(...)])."
    )
