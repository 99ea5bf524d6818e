"""How features reach the tasks: one file per way of sharing.

May import: types, group_norm.
"""
