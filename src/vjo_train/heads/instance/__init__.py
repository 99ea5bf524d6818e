"""Instance segmentation: what its heads share in `base`, one file per head.

May import: as `heads`.
"""
