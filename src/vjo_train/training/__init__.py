"""One training: the module with its step, losses, precision, checkpoints, resume, stopping, and the run as a whole.

May import: data, sharing, heads, weighting, optim, report.
"""
