"""Optimizers, learning-rate schedules and clipping.

May import: types.
"""
