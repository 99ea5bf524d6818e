"""The program from Python: what `vjo_train` itself offers by name.

May import: everything.
"""
