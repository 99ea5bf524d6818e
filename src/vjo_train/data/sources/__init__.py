"""One file or folder per layout of data on disk: which pictures there are, and how their labels are read.

May import: types, files, data.labels, data.index, data.decode.
"""
