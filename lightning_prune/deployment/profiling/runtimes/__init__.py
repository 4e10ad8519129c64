"""The runtimes in which a network is timed."""
