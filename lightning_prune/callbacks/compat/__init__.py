"""Other callbacks of Lightning beside ours, one file each, and the two namespaces that they come from."""
