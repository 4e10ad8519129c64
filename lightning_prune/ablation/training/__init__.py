"""Train one node and measure what it reached."""
