"""Structures: slices of a network's tensors that can only be removed together: channels, heads and neurons."""
