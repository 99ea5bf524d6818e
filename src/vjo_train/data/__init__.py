"""From files on disk to batches: labels, sources, pictures, augmentation, the plan of the batches.

May import: types, files, drawing, config.rules.
"""
