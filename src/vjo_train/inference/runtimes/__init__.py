"""Exported files run by the libraries that they are written for: arrays in, arrays out. Imports no heads.

A file's ending says which library that is: `files.py`.
"""
