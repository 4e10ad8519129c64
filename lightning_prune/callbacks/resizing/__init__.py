"""Let the network of a fit become smaller from cycle to cycle."""
