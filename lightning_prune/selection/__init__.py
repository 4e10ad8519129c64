"""Select the prunable weights of a module, and give a reason for every other tensor."""

from lightning_prune.selection.prunable import Prunable as Prunable
from lightning_prune.selection.prunable import Selected as Selected
from lightning_prune.selection.prunable import Selection as Selection
from lightning_prune.selection.prunable import Skipped as Skipped
