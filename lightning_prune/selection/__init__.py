"""What may be pruned: from a module to its prunable weights, and the reason for each tensor that is left alone."""

from lightning_prune.selection.prunable import Prunable as Prunable
from lightning_prune.selection.prunable import Selected as Selected
from lightning_prune.selection.prunable import Selection as Selection
from lightning_prune.selection.prunable import Skipped as Skipped
