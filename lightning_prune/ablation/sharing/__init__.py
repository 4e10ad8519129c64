"""Share the nodes that arms have in common, and let a node go on from its parent."""
