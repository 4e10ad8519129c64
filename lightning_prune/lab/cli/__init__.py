"""Run ``lightning-prune fit|validate|test|predict``, a LightningCLI with defaults and clear errors."""
