"""The learning-rate policies of the cycles: the names of all of them. Each family has a file in ``policies``."""

from typing import TYPE_CHECKING

from lightning_prune.basics.renamed import former_classes
from lightning_prune.callbacks.policies.adaptive import AdaptiveLinearRestart as AdaptiveLinearRestart
from lightning_prune.callbacks.policies.adaptive import PruningAware as PruningAware
from lightning_prune.callbacks.policies.constant import ConstantRate as ConstantRate
from lightning_prune.callbacks.policies.constant import FineTune as FineTune
from lightning_prune.callbacks.policies.cyclical import Cyclical as Cyclical
from lightning_prune.callbacks.policies.cyclical import SCyclical as SCyclical
from lightning_prune.callbacks.policies.one_cycle import CyclicRestart as CyclicRestart
from lightning_prune.callbacks.policies.one_cycle import OneCycleRetrain as OneCycleRetrain
from lightning_prune.callbacks.policies.replay import CompressedRestart as CompressedRestart
from lightning_prune.callbacks.policies.replay import DenseScheduleRestart as DenseScheduleRestart
from lightning_prune.callbacks.policies.replay import LRRewind as LRRewind
from lightning_prune.callbacks.policies.restarts import CosineRestart as CosineRestart
from lightning_prune.callbacks.policies.restarts import LinearRestart as LinearRestart
from lightning_prune.callbacks.policies.restarts import ScaledRestart as ScaledRestart
from lightning_prune.callbacks.policies.scheduler import TorchScheduler as TorchScheduler
from lightning_prune.callbacks.policies.steps import SILOSchedule as SILOSchedule
from lightning_prune.callbacks.policies.steps import WarmupSteps as WarmupSteps

if not TYPE_CHECKING:  # type checkers know the names of today only
    __getattr__ = former_classes(__name__)
