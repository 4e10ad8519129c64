"""Curves of learning rates: pure functions that map a step of a cycle to a learning rate.

``step`` counts the optimizer steps of the cycle, from 0 to ``steps - 1``. For a
rate that changes once per epoch, ``step`` counts the epochs of the cycle. A step
after the end gets the last value.
"""

from lightning_prune.schedules.rates.curves import cosine as cosine
from lightning_prune.schedules.rates.curves import in_steps as in_steps
from lightning_prune.schedules.rates.curves import linear as linear
from lightning_prune.schedules.rates.curves import whole as whole
from lightning_prune.schedules.rates.drops import warmup_drops as warmup_drops
from lightning_prune.schedules.rates.drops import warmup_steps as warmup_steps
from lightning_prune.schedules.rates.peaks import pruning_aware as pruning_aware
from lightning_prune.schedules.rates.peaks import restart_peak as restart_peak
from lightning_prune.schedules.rates.peaks import s_shape as s_shape
from lightning_prune.schedules.rates.rises import one_cycle as one_cycle
from lightning_prune.schedules.rates.rises import triangular as triangular
from lightning_prune.schedules.rates.rises import warmup_anneal as warmup_anneal
