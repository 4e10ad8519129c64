"""Callbacks that work beside the cycles: on statistics, on what is trained, and on what is small."""
