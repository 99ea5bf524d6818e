"""From files on disk to batches: indices, pictures, augmentation, the plan of the batches.

May import: types, files, config.rules.
"""
