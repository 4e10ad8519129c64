"""Decide the masks, hold them, and keep them equal on every process."""
