"""What came out: one table, and comparisons with intervals."""
