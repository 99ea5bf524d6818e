"""Results as tables, files and drawn pictures.

May import: data, runs, training.module.
"""
