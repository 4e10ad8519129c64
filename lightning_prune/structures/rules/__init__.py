"""How operations carry labels: one small rule for each kind of operation of aten."""
