"""A run's folder on disk: config, results, records of the test, history, reservation.

May import: config.signatures, files; no torch but in `unpickling`.
"""
