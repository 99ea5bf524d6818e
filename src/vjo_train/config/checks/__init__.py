"""Checks of a command line before Hydra starts: a mistake is answered at once and leaves no folder behind.

May import: config, runs, comparison; no torch.
"""
