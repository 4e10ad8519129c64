"""Run the loop of a study: choose the next node, and an engine to train it."""
