"""One task's branch each: layers, loss, decoding of predictions, metrics.

May import: types, metrics, runs.records.
"""
