"""Refuse other callbacks that have masks, beside one whose masks move."""

from lightning.pytorch.callbacks import Callback, ModelPruning

from lightning_prune.basics.user_error import UserError
from lightning_prune.callbacks.base import clock_of
from lightning_prune.callbacks.compat.namespaces import everywhere
from lightning_prune.callbacks.compat.weight_averaging import refuse_stochastic_averaging


def refuse_company(asker: Callback, callbacks: list[Callback], kin: type[Callback]) -> None:
    """Refuse callbacks that have masks of their own.

    Args:
        asker: The callback, which is among them.
        callbacks: The callbacks of the fit.
        kin: The family of the callback, of which a fit has one.

    Raises:
        ValueError: If there is an ``IterativePruning``, another of its family, Lightning's pruning, or an
            averaging that mixes networks of different masks.
    """
    name = type(asker).__name__
    if (clock := clock_of(callbacks)) is not None:
        raise UserError(
            f"{name} and {type(clock).__name__} cannot stand in one Trainer: under {name} dead weights come back, and "
            f"{type(clock).__name__} promises that none does. Keep one of them (pruning: null in a config)."
        )
    for other in callbacks:
        if other is not asker and isinstance(other, (kin, *everywhere(ModelPruning))):
            raise UserError(f"{name} and {type(other).__name__} would both mask the weights. Keep one of them.")
    refuse_stochastic_averaging(callbacks, name)
