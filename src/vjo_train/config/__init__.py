"""Configs: composed, checked, and built into objects.

May import: the checks: errors, runs, comparison; `build`: everything but the commands.
"""
