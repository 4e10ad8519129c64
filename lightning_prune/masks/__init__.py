"""Which weights live: masks, one bit a weight in files, on one device or in parts on many, and tickets."""
