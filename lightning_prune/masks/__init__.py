"""Masks of living weights, in memory and in files at one bit per weight, and tickets."""
