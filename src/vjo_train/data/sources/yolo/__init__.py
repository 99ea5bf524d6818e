"""The layout of Ultralytics' YOLO: a YAML file, pictures, and a text file of rows beside each.

May import: types, data.labels, data.index, data.decode.
"""
