"""Points of objects, such as the joints of people.

May import: types, drawing, metrics, runs, and the heads of detection and instances.
"""
