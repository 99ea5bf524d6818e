"""Which tasks are trained at a step.

May import: errors; no torch.
"""
