"""Runs against runs: does joint training win? Imports no torch."""
