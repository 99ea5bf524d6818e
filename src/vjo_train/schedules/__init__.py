"""Which tasks are trained at a step."""
