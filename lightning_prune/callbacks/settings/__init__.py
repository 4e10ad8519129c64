"""Record the settings of a run as plain values, and list how two runs differ."""
