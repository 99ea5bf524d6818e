"""Optimizers, learning-rate schedules and clipping.

Imports no other room.
"""
