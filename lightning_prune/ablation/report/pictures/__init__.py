"""Draw the pictures of the page of a study, with a module for each picture."""
