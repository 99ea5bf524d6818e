"""Which layout a folder of data has, by what lies in it: `vjo-data guess`, and the remedy in errors.

May import: types, files, errors, data.sources.
"""
