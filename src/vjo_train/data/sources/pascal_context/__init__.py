"""PASCAL-Context as it is published for multi-task learning (`PASCAL_MT`).

May import: as data.sources.
"""
