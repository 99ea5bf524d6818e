"""One file per way of turning K task losses into one update."""
