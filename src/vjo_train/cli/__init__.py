"""The commands: one module that parses, answers mistakes and starts a run, and the help pages.

May import everything; imports no torch before a run starts.
"""
