"""Keep the folder of a run: its logs, checkpoints, tables and progress."""
