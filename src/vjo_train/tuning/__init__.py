"""Searching for good settings: trials of `vjo-tune`, judged on the validation split.

May import: config, training, report, pages.
"""
