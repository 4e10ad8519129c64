"""From trained weights to a small network, in one command."""
