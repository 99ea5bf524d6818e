"""Prediction on pictures, and export to ONNX.

Imports data, heads, training and reports.
"""
