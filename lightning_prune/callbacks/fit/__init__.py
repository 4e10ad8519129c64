"""One fit of ``IterativePruning``: its parts, its order, its record."""
