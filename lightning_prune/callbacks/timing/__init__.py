"""When things happen: the clock, the plan of the cycles, and Lightning's limits."""
