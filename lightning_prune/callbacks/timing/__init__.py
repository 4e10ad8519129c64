"""Keep the time of a fit: the clock, the plan of the cycles, and Lightning's limits."""
