"""From images to a pyramid of features."""
