"""Tasks without labels: what was done to a picture, or what a part of it shows that is hidden.

May import: types, metrics, and the layers of other heads.
"""
