"""One file per task head: layers, loss, decoding and metrics."""
