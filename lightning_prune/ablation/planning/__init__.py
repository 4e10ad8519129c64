"""Plan the nodes that the arms of a study go through. Each node is named by its content."""
