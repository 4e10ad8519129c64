"""Prune a network without a Trainer, and keep it sparse in a training loop of one's own."""
