"""The commands, the help pages, and how a mistake is answered.

May import: everything; torch only when a run starts.
"""
