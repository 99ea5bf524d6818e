"""Learning from networks that were trained for one task each.

May import `heads`, `sharing` and what they may import.
"""
