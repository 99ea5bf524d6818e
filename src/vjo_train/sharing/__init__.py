"""How features reach the tasks: one file per way of sharing."""
