"""The devkit's layout: folders and lists, annotation files, and the source that reads them.

May import: types, geometry, data.labels, data.index, data.decode.
"""
