"""Objects as the files of annotation tools and of public data sets have them: boxes and outlines by class name.

Each layout is a file that turns what it reads into `records`; the rest is common to all: `source`.
"""
