"""Callbacks that do one more thing beside the pruning: checkpoints, statistics, penalties, freezing, removal."""
