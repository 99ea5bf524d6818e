"""COCO's instance JSON as a source: its layouts, its lists, boxes and outlines, and how they are drawn.

May import: types, files, data.labels, data.index, data.decode.
"""
