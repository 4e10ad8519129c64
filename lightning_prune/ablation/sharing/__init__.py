"""What arms have in common, and how a node goes on from another one."""
