"""Dynamic sparsity: callbacks under which dead weights live again, the one family that relaxes this law."""
