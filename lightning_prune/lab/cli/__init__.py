"""Run ``lightning-prune fit|validate|test|predict``, a LightningCLI with defaults and clear errors."""

from lightning_prune.basics.late_names import import_names

import_names("lightning_prune")
import_names("lightning_prune.lab")
