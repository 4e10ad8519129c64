"""What a run was made with, as plain values, and how two runs differ."""
