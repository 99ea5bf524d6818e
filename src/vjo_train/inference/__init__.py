"""Prediction on pictures, and export to ONNX.

May import: data, heads, training, report.
"""
