"""Small tools for all folders: argument checks, checked files, random states, and error messages."""
