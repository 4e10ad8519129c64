"""Other callbacks of Lightning beside ours, one file each."""
