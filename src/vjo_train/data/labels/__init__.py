"""One file per kind of label: its type, how it follows its picture, what "ignored" means, how it is drawn and checked.

May import: types, drawing, data.placement.
"""
