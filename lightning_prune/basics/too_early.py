"""What is asked of callbacks too early, or of the wrong thing: said in our words, where Python's would not help."""

from abc import ABCMeta
from typing import Any, Generic, NoReturn, TypeVar, overload

T = TypeVar("T")


class NotAnObject(TypeError, AttributeError):
    """A class stands where an object of it should; tools that list attributes skip it like one that is missing."""


class ObjectsOnly(ABCMeta):
    """The kind of the callbacks, which says what is wrong with ``Trainer(callbacks=[IterativePruning])``.

    A Trainer asks every callback for its key when it is made, before any method of ours could tell.
    """

    @property
    def state_key(cls) -> NoReturn:
        raise NotAnObject(
            f"Trainer(callbacks=[{cls.__name__}]) was given the class, and needs an object of it: write "
            f"{cls.__name__}(...), with its arguments between the brackets."
        )


class TooEarly(ValueError, AttributeError):
    """What was asked for is not there yet; ``hasattr`` is then false."""


class FromTraining(Generic[T]):
    """An attribute that only a training gives: asked for before, it says so.

    Raises:
        TooEarly: If it is asked for before it was set.

    Example:
        >>> class Pruning:
        ...     run = FromTraining[int]()
        >>> pruning = Pruning()
        >>> hasattr(pruning, "run")
        False
        >>> pruning.run = 3
        >>> pruning.run
        3
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "FromTraining[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        if self._name not in vars(instance):
            raise TooEarly(
                f"{owner.__name__} has no masks, no sparsity and no ticket before the training starts: call "
                "trainer.fit(...) with it first. Of a run of another process, lightning_prune.save_ticket(path, "
                "checkpoint) makes a ticket, and load_ticket(path).masks are its masks."
            )
        return vars(instance)[self._name]

    def __set__(self, instance: object, value: T) -> None:
        vars(instance)[self._name] = value
