"""The figures that runs are judged by: torchmetrics classes over pure functions.

May import: types, runs.records.
"""
