"""Collect the results of a study in one table, and compare arms with intervals."""
