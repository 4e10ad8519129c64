"""Clear errors for attributes that are read too early, or from a class in place of an object."""

from abc import ABCMeta
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from lightning_prune.basics.user_error import UserError

T = TypeVar("T")


class NotAnObject(TypeError, AttributeError):
    """A class was given in place of an object of it. Tools that list attributes treat the attribute as missing."""


class ObjectsOnly(ABCMeta):
    """The metaclass of the callbacks, which gives a clear error for ``Trainer(callbacks=[IterativePruning])``.

    A new Trainer reads the state key of every callback before it calls any other method of the callback.
    """

    @property
    def state_key(cls) -> NoReturn:
        raise NotAnObject(
            f"Trainer(callbacks=[{cls.__name__}]) was given the class, and needs an object of it: write "
            f"{cls.__name__}(...), with its arguments between the brackets."
        )


class TooEarly(UserError, AttributeError):
    """An attribute does not exist yet. ``hasattr`` is false for the attribute."""


class FromTraining(Generic[T]):
    """An attribute that exists only once training has started. Before, reading it raises a clear error.

    Once it is set, it is an attribute like any other, and Python does not come here to read it.

    Raises:
        TooEarly: If the attribute is read before it was set.

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

    @overload
    def __get__(self, instance: None, owner: type) -> "FromTraining[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        raise TooEarly(
            f"{owner.__name__} has no masks, no sparsity and no ticket before the training starts: call "
            "trainer.fit(...) with it first. For a run of another process, lightning_prune.save_ticket(path, "
            "checkpoint) makes a ticket, and load_ticket(path).masks gives its masks."
        )

    if TYPE_CHECKING:  # with a setter Python would come here, however the attribute is set

        def __set__(self, instance: object, value: T) -> None: ...
