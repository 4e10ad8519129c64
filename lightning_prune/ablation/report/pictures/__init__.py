"""The pictures of the page of a study, a file each."""
