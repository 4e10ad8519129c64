"""The loop of a study: which node is next, and where it is trained."""
