"""Runs against runs: does joint training win, and why? Also the plan of such runs and their tuning.

May import: runs, report, pages, diagnosis, config.compose; no torch.
"""
