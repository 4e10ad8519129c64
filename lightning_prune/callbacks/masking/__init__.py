"""Which weights live: masks decided, held, and equal on every process."""
