"""One file per way of turning K task losses into one update, the gradient engine, and solvers.

May import: errors.
"""
