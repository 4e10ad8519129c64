"""Where the weights of a cycle start."""
