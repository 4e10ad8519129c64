"""When a network prunes well, and what to change before it is pruned: the three regimes of two retrained copies."""

from lightning_prune.regimes.advice import Advice, advise, choose
from lightning_prune.regimes.barriers import Barrier, barrier
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
    "measure",
    "weight_distance",
]
