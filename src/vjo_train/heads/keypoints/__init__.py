"""Key points of objects, such as the joints of persons: with a second stage, or beside a dense detector.

May import: types, drawing, metrics, runs.records, heads.detection, heads.instance.
"""
