"""The evidence that criteria ask for, gathered without leaving a trace."""
