"""What a network weighs, how long it takes, and what it gains over another one."""
