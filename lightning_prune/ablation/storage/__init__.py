"""The folders of the nodes, also shared between studies."""
