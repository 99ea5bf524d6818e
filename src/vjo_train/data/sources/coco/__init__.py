"""COCO's layout: where its files lie, what they hold, and the source that reads them.

May import: types, data.labels, data.index.
"""
