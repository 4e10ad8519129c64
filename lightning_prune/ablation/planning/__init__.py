"""From arms to the nodes that are trained, named by their content."""
