"""A run's folder on disk: config, results, records of the test, history, reservation.

Imports no other room but `config.signatures`, and no torch but in `unpickling`.
"""
