"""Granularity: the units in which weights live and die. A unit is a weight, a filter, a block, or a whole structure."""

from lightning_prune.granularity.base import Granularity as Granularity
from lightning_prune.granularity.base import Units as Units
from lightning_prune.granularity.blocks import Blocks as Blocks
from lightning_prune.granularity.latency import Latency as Latency
from lightning_prune.granularity.n_of_m import NofM as NofM
from lightning_prune.granularity.rows import Filters as Filters
from lightning_prune.granularity.single_weights import Weights as Weights
from lightning_prune.granularity.structures_by_mask import Structures as Structures
