"""Learning from images that are not labelled.

May import `heads`, `sharing` and what they may import.
"""
