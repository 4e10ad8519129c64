"""Bring the outputs of a pruned network back to those of the dense network, before a cycle trains it."""
