"""The formats of files that a network is exported to: how each is written, and how its runtime opens it."""
