"""Prune a LightningModule inside one fit: callbacks that prune, rewind, and switch learning rates between cycles.

Sparsity is the fraction of the prunable weights that was removed, and density is the fraction that is left. A cycle is
one training at one sparsity. Cycle 0 is the dense run. A step is an optimizer step. A mask is true where a weight is
alive. A criterion gives scores, and an allocation gives counts.
"""

from typing import TYPE_CHECKING

from lightning_prune.allocation import erk as erk
from lightning_prune.allocation import globally as globally
from lightning_prune.allocation import lamp as lamp
from lightning_prune.allocation import layerwise as layerwise
from lightning_prune.allocation.floor import WithFloor as WithFloor
from lightning_prune.allocation.isomorphic import isomorphic as isomorphic
from lightning_prune.allocation.isomorphic import per_group as per_group
from lightning_prune.allocation.layer_rates import LayerRates as LayerRates
from lightning_prune.allocation.whole_filters import WholeFilters as WholeFilters
from lightning_prune.allocation.widths import Widths as Widths
from lightning_prune.callbacks.base import CycleCallback as CycleCallback
from lightning_prune.callbacks.cycle import Cycle as Cycle
from lightning_prune.callbacks.cycle_checkpoint import CycleCheckpoint as CycleCheckpoint
from lightning_prune.callbacks.estimate_batch_norm import EstimateBatchNorm as EstimateBatchNorm
from lightning_prune.callbacks.iterative_pruning import IterativePruning as IterativePruning
from lightning_prune.callbacks.masking.recorded_masks import MaskSource as MaskSource
from lightning_prune.callbacks.masking.recorded_masks import Recorded as Recorded
from lightning_prune.callbacks.policies import AdaptiveLinearRestart as AdaptiveLinearRestart
from lightning_prune.callbacks.policies import CompressedRestart as CompressedRestart
from lightning_prune.callbacks.policies import ConstantRate as ConstantRate
from lightning_prune.callbacks.policies import CosineRestart as CosineRestart
from lightning_prune.callbacks.policies import Cyclical as Cyclical
from lightning_prune.callbacks.policies import CyclicRestart as CyclicRestart
from lightning_prune.callbacks.policies import DenseScheduleRestart as DenseScheduleRestart
from lightning_prune.callbacks.policies import FineTune as FineTune
from lightning_prune.callbacks.policies import LinearRestart as LinearRestart
from lightning_prune.callbacks.policies import LRRewind as LRRewind
from lightning_prune.callbacks.policies import OneCycleRetrain as OneCycleRetrain
from lightning_prune.callbacks.policies import PruningAware as PruningAware
from lightning_prune.callbacks.policies import ScaledRestart as ScaledRestart
from lightning_prune.callbacks.policies import SCyclical as SCyclical
from lightning_prune.callbacks.policies import SILOSchedule as SILOSchedule
from lightning_prune.callbacks.policies import TorchScheduler as TorchScheduler
from lightning_prune.callbacks.policies import WarmupSteps as WarmupSteps
from lightning_prune.callbacks.policies.base import LearningRatePolicy as LearningRatePolicy
from lightning_prune.callbacks.policies.base import ShapedRate as ShapedRate
from lightning_prune.callbacks.resuming.exact_resume import ExactResume as ExactResume
from lightning_prune.callbacks.sparsity_penalty import SparsityPenalty as SparsityPenalty
from lightning_prune.callbacks.starting_points.reinitialize import Reinitialize as Reinitialize
from lightning_prune.callbacks.starting_points.scratch_train import ScratchTrain as ScratchTrain
from lightning_prune.callbacks.starting_points.weight_rewind import WeightRewind as WeightRewind
from lightning_prune.callbacks.train_only import TrainOnly as TrainOnly
from lightning_prune.criteria import magnitude as magnitude
from lightning_prune.criteria import random as random
from lightning_prune.granularity import Blocks as Blocks
from lightning_prune.granularity import Filters as Filters
from lightning_prune.granularity import Granularity as Granularity
from lightning_prune.granularity import Structures as Structures
from lightning_prune.granularity import Weights as Weights
from lightning_prune.masks.ticket import Ticket as Ticket
from lightning_prune.masks.ticket import load_ticket as load_ticket
from lightning_prune.masks.ticket import save_ticket as save_ticket
from lightning_prune.renamed import former_classes, keep_former_names
from lightning_prune.schedules.sparsity import Cubic as Cubic
from lightning_prune.schedules.sparsity import Geometric as Geometric
from lightning_prune.schedules.sparsity import Levels as Levels
from lightning_prune.schedules.sparsity import Linear as Linear
from lightning_prune.schedules.sparsity import OneShot as OneShot
from lightning_prune.selection.prunable import Prunable as Prunable
from lightning_prune.structures.find import structures_of as structures_of
from lightning_prune.version import __version__ as __version__

keep_former_names()
if not TYPE_CHECKING:  # type checkers know the names of today only
    __getattr__ = former_classes(__name__)
