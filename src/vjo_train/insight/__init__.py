"""What a network does inside: looked at in a run, never changing it.

May import: training.module, weighting, report.
"""
