"""What every pixel is, where it is a number or a yes and no: depth, surface normals, edges, salient objects.

May import: types, drawing, metrics, runs, and the contract of a head.
"""
