"""Networks that turn images into a pyramid of features, and the neck that gives it equal channels.

May import: types, config.rules, runs.unpickling.
"""
