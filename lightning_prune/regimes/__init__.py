"""When a network prunes well, and what to change before it is pruned: the three regimes of two retrained copies."""

from typing import TYPE_CHECKING

from lightning_prune.basics.late_names import late_names

if TYPE_CHECKING:
    from lightning_prune.regimes.advice import Advice, advise, choose
    from lightning_prune.regimes.barriers import Barrier, barrier
    from lightning_prune.regimes.curvature import hessian_trace, top_eigenvalue
    from lightning_prune.regimes.distances import weight_distance
    from lightning_prune.regimes.measured import Measured
    from lightning_prune.regimes.of_two import measure
    from lightning_prune.regimes.similarity import agreement, cka

__all__ = [
    "Advice",
    "Barrier",
    "Measured",
    "advise",
    "agreement",
    "barrier",
    "choose",
    "cka",
    "hessian_trace",
    "measure",
    "top_eigenvalue",
    "weight_distance",
]

if not TYPE_CHECKING:  # the help of the command needs no torch
    PLACES = {
        "Advice": "advice",
        "Barrier": "barriers",
        "Measured": "measured",
        "advise": "advice",
        "agreement": "similarity",
        "barrier": "barriers",
        "choose": "advice",
        "cka": "similarity",
        "hessian_trace": "curvature",
        "measure": "of_two",
        "top_eigenvalue": "curvature",
        "weight_distance": "distances",
    }
    __getattr__ = late_names(__name__, PLACES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
