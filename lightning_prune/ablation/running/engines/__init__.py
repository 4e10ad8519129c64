"""Where nodes are trained: in this process, in several of this machine, or on a cluster."""
