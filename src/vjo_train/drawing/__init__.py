"""What labels and predictions are drawn with: colours, frames, tags, captions, maps over a picture.

May import: types.
"""
