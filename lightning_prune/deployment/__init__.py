"""How a network leaves training: files, runtimes, and what they gain."""
