"""Keep the folders of the nodes. Several studies may share them."""
