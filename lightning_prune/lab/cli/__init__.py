"""``lightning-prune fit|validate|test|predict``: LightningCLI with defaults and clear errors."""
