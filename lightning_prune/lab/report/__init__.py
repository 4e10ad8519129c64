"""Read the logged files of runs, make tables, and draw the parts that all pictures share."""
