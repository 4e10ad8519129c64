"""Set the weights that a cycle starts from."""
