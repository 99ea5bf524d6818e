"""Reports as HTML pages: each one file, readable without a network and without scripts.

May import: runs, report, diagnosis; no torch.
"""
