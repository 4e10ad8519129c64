"""Shrinking: remove dead units for good, check that the network stays the same function, and save the small network."""
