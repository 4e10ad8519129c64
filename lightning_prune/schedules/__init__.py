"""Sparsity schedules, durations, and curves of learning rates."""

from lightning_prune.schedules.sparsity import Cubic as Cubic
from lightning_prune.schedules.sparsity import Geometric as Geometric
from lightning_prune.schedules.sparsity import Levels as Levels
from lightning_prune.schedules.sparsity import Linear as Linear
from lightning_prune.schedules.sparsity import OneShot as OneShot
from lightning_prune.schedules.sparsity import SparsitySchedule as SparsitySchedule
