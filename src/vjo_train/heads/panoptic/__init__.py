"""Panoptic segmentation: every pixel belongs to one object, or to stuff of one class.

May import: types, drawing, metrics, runs, and the contract of a merged task.
"""
