"""The callbacks: when things happen. What happens is in the functions and values above this folder."""
