"""One training: the module with its step, losses, precision, checkpoints, resume and stopping, and the run as a whole.

Imports data, sharing, heads, weighting, optim and reports.
"""
