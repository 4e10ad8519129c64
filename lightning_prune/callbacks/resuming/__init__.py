"""Exact resumption: what Lightning does not save, and files that are damaged."""
