"""Structures: slices of a network's tensors that can only be removed together, such as channels, heads and neurons."""
